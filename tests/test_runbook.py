"""What the specification's runbook and FAQ warn of, and what cannot happen any more."""

import sys
from pathlib import Path

import pytest
from celery.schedules import crontab

from app.queue.timetable import TIMETABLE
from app.systemd.programs import wrong_node_name
from tests.databases import sqlite_copy
from tests.servers import RedisServer, wait_until
from tests.stack import CELERY, Processes

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_beat_and_worker_that_started_before_redis_work_when_it_comes(tmp_path: Path) -> None:
    """Nobody ends, nobody is started again, and the worker answers once Redis does."""
    redis = RedisServer(tmp_path / "redis")
    sqlite_copy(tmp_path / "task-progress.sqlite3")
    processes = Processes(
        tmp_path, {"CELERY_BROKER_URL": redis.url, "DATA_DIR": str(tmp_path), "LANG": "C.UTF-8"}
    )
    try:
        beat, worker = processes.beat(), processes.worker(wait=False)
        processes.until_said(worker, "Cannot connect to redis")
        redis.start()
        processes.until_said(worker, " ready.")
        ping = (*CELERY, "inspect", "ping")
        wait_until(lambda: "OK" in processes.once(*ping, check=False).stdout, "an answer")
        wait_until(lambda: "Sending due task tick" in processes.said(beat), "the next minute", 150)
        wait_until(lambda: "Task app.tasks.notifications.tick" in processes.said(worker), "it")
        assert (beat.poll(), worker.poll()) == (None, None)
    finally:
        processes.end_all()
        redis.kill()


def test_celery_finds_the_app_from_any_folder(tmp_path: Path) -> None:
    """No ModuleNotFoundError: `make setup` has installed the package."""
    processes = Processes(tmp_path, {"DATA_DIR": str(tmp_path)})
    del processes.environ["PYTHONPATH"]  # a help of the tests alone
    celery = str(Path(sys.executable).parent / "celery")
    said = processes.once(celery, "-A", "app.celery_app.celery", "report").stdout
    assert "daily-progress-reminder-09" in said


@pytest.mark.parametrize("option", [["-n", "mail@%H"], ["-nmail@%H"], ["--hostname=mail@%H"]])
def test_a_units_name_typed_in_a_shell_gets_a_sentence(tmp_path: Path, option: list[str]) -> None:
    """systemd makes the host's name of %H; Celery knows %h, and ends on the other one."""
    processes = Processes(tmp_path, {"DATA_DIR": str(tmp_path)})
    ended = processes.once(*CELERY, "worker", "-Q", "mail", *option, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0].endswith("-n mail@%h と書いてください。")
    assert "In a shell write -n mail@%h." in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["worker", "-n", "mail@%h"],
        ["worker", "-n", "mail@vm-1", "-Q", "%H"],
        ["worker", "-n", "mail@%%H"],
        ["inspect", "ping", "-d", "mail@%H"],
        ["worker"],
    ],
)
def test_every_other_name_is_left_to_celery(arguments: list[str]) -> None:
    assert wrong_node_name(["celery", *arguments]) is None


@pytest.mark.parametrize("name", TIMETABLE)
def test_no_entry_of_the_timetable_is_a_dict(name: str) -> None:
    """A dict as schedule is what ends beat with: 'dict' object has no attribute 'app'."""
    assert isinstance(TIMETABLE[name]["schedule"], crontab)
