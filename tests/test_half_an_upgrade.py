"""Programs whose files are being replaced: they end so that their unit starts them again.

The units' own commands, in the specification's layout, on a copy of the code that can be broken.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import pytest
import redis

from tests.databases import sqlite_copy
from tests.fork_server import Part
from tests.machine import Machine, lay_out, write_units
from tests.servers import wait_until
from tests.specification import ENV as SPECIFICATION
from tests.stack import PROJECT
from tests.test_queue_messages import envelope
from tests.unit_file import Unit

pytestmark = pytest.mark.slow

BEAT, MAIL, AI, WEB = (
    "celery-beat.service",
    "celery-worker-mail.service",
    "celery-worker-ai.service",
    "task-progress-web.service",
)


@pytest.fixture
def machine(tmp_path: Path, redis_url: str) -> Iterator[Machine]:
    home = lay_out(tmp_path, "taro")
    (home / "app").unlink()
    shutil.copytree(PROJECT / "app", home / "app")
    sqlite_copy(home / "data" / "task-progress.sqlite3")
    made = Machine(home, write_units(home, "taro", tmp_path / "units"), redis_url)
    made.forked = False
    made.configure(SPECIFICATION)
    yield made
    made.end()


def cut(file: Path) -> None:
    """As a copy that was stopped in the middle of a line leaves it."""
    whole = file.read_text(encoding="utf-8")
    half = whole.index("(", len(whole) // 2) + 1
    file.write_text(whole[:half], encoding="utf-8")


def ended(part: Part) -> int:
    """The exit code; a program that goes on instead is ended by the fixture."""
    return part.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file"),
    [
        (BEAT, "app/outbox/deliver.py"),
        (BEAT, "app/tasks/scheduler.py"),  # imported when the settings are read and logs are set up
        (MAIL, "app/outbox/deliver.py"),
        (MAIL, "app/tasks/messages.py"),  # imported by a worker that has begun
        (AI, "app/ai/call.py"),
        (WEB, "app/web/home.py"),
    ],
)
def test_a_program_that_cannot_be_imported_is_started_again_and_lives_once_it_is_whole(
    machine: Machine, name: str, file: str
) -> None:
    cut(machine.home / file)
    code = ended(machine.start(name))
    unit = Unit.read(machine.rendered / name)
    assert code != 0
    assert str(code) not in unit.one("RestartPreventExitStatus").split()
    assert (unit.one("Restart"), unit.one("StartLimitIntervalSec")) == ("always", "0")
    assert "SyntaxError" in machine.said(name)
    shutil.copyfile(PROJECT / file, machine.home / file)
    machine.start(name)
    machine.ready(name)


@pytest.mark.slow
def test_what_runs_goes_on_while_its_files_are_replaced(machine: Machine, redis_url: str) -> None:
    worker = machine.start(MAIL)
    machine.ready(MAIL)
    for file in (machine.home / "app").glob("**/*.py"):
        file.write_text("half (", encoding="utf-8")
    with redis.Redis.from_url(redis_url) as queue:
        queue.lpush("mail", envelope())
    wait_until(lambda: "succeeded" in machine.said(MAIL), machine.said(MAIL))
    worker.send_signal(SIGTERM)
    assert worker.wait(120) == 0
    code = ended(machine.start(MAIL))
    assert code not in (0, os.EX_CONFIG)
