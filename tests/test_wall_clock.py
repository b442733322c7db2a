"""Real processes whose wall clock is set while they run."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.alerts import open_alerts
from app.db import Database
from app.models import DecisionRow, OutboxMail, State
from tests.conftest import People, task
from tests.databases import on_sqlite
from tests.servers import wait_until
from tests.smtp_server import SmtpServer
from tests.stack import Stack, offset_to, running
from tests.wall_clock import WallClock, needs_faketime

pytestmark = [pytest.mark.slow, needs_faketime, pytest.mark.usefixtures("no_digest")]
NINE = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def stack(
    environ: dict[str, str], tmp_path: Path, db: Database, team: People, smtp: SmtpServer
) -> Iterator[Stack]:
    """Three people with an unreported task each; it is 09:00:05 on 2026-11-24 in Tokyo."""
    with db.write() as session:
        session.add_all([task(f"T-{one.id}", one) for one in (team.sato, team.suzuki, team.tanaka)])
    settings = {
        **environ,
        "SMTP_PORT": str(smtp.port),
        "TEST_CLOCK_OFFSET": offset_to(NINE - timedelta(days=1)),
        "LANG": "en_US.UTF-8",
    }
    with running(tmp_path, settings, smtp) as stack:
        yield stack


def alerts(db: Database) -> list[str]:
    with db.read() as session:
        return [one.name.partition(":")[0] for one in open_alerts(session)]


def decided(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).where(DecisionRow.slot == "reminder")) or 0


def accepted(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).where(OutboxMail.state == State.ACCEPTED)) or 0


@pytest.mark.parametrize("ahead", [timedelta(hours=9), -timedelta(hours=9)])
@on_sqlite
def test_beat_follows_its_clock_both_ways_within_a_minute(
    stack: Stack, tmp_path: Path, ahead: timedelta
) -> None:
    """Ahead at the start and then corrected, or the other way round."""
    wall = WallClock(tmp_path, ahead)
    stack.beat(**wall.environ)
    wait_until(lambda: ticks(stack) >= 1, "the first tick", 150)
    for new in (timedelta(), ahead):
        wanted = ticks(stack) + 1
        wall.set(new)
        began = time.monotonic()
        wait_until(lambda: ticks(stack) >= wanted, "a tick after the clock was set", 150)  # noqa: B023 - waited for at once
        assert time.monotonic() - began < 90


def ticks(stack: Stack) -> int:
    return len(re.findall(r"Sending due task tick\b", stack.logs("beat")))


def test_a_tick_with_a_clock_30_days_ahead_plans_nothing_and_the_next_right_one_does(
    stack: Stack, db: Database, tmp_path: Path
) -> None:
    stack.command("tick")
    wall = WallClock(tmp_path, MONTH)
    right = dict(stack.environ)
    stack.environ.update(wall.environ)
    said = stack.command("tick")
    assert "in doubt" in said.stderr
    assert stack.command("clock", check=False).returncode == 1
    assert decided(db) == 0
    assert alerts(db) == ["clock_in_doubt"]
    stack.environ = {**right, "TEST_CLOCK_OFFSET": offset_to(NINE)}
    stack.command("tick")
    assert alerts(db) == []
    assert decided(db) == accepted(db) == 3


@on_sqlite
def test_an_admin_says_that_the_clock_is_right(stack: Stack, db: Database, tmp_path: Path) -> None:
    """A machine that was paused for days by its host: only its wall clock went on."""
    stack.command("tick")
    stack.environ.update(WallClock(tmp_path, timedelta(days=1)).environ)
    assert "in doubt" in stack.command("tick").stderr
    assert "Accepted" in stack.command("clock", "--accept").stdout
    stack.command("tick")
    assert decided(db) == accepted(db) == 3
    assert alerts(db) == []
