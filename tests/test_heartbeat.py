"""HEARTBEAT_URL: who listens elsewhere hears of each tick, and no tick waits for them."""

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import select, update

from app import clock, doctor, reminders
from app.config import load
from app.db import Database, DatabaseDown
from app.doctor import CheckContext, Level
from app.doctor.heartbeat_url import listener
from app.models import TICK, OutboxMail, Service
from app.monitoring import heartbeat_url, status
from app.services import Services, make
from tests import servers
from tests.conftest import NOW, People, task
from tests.http_server import Handler, HttpServer, serving
from tests.smtp_server import SmtpServer
from tests.stack import offset_to, running

pytestmark = pytest.mark.pages

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Listener(HttpServer):
    """Somebody elsewhere: notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.asked: list[str] = []
        self.code = 200
        self.hangs = False
        self.drips = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ping/himitsu"


class _Handler(Handler):
    server: Listener

    def answer(self) -> None:
        self.server.asked.append(self.path)
        if self.server.hangs:
            self.server.released.wait(60)
        while self.server.drips and not self.server.released.wait(0.05):
            self.wfile.write(b"H")
        self.send_response(self.server.code)
        self.end_headers()


@pytest.fixture
def listener_() -> Iterator[Listener]:
    with serving(Listener()) as server:
        yield server


Installed = Callable[..., Services]


@pytest.fixture
def installed(environ: dict[str, str], tmp_path: Path) -> Iterator[Installed]:
    """Services that tell this address of their ticks."""
    made: list[Services] = []

    def maker(url: str, **more: str) -> Services:
        made.append(make(load({**environ, "HEARTBEAT_URL": url, **more}, tmp_path)))
        return made[-1]

    yield maker
    told()
    for services in made:
        services.db.close()


def told() -> None:
    """Returns when whoever is to be told has been told."""
    for thread in threading.enumerate():
        if thread.name == "heartbeat-url":
            thread.join(30)


def still_telling() -> list[str]:
    """The threads that talk to a listener."""
    return [one.name for one in threading.enumerate() if "(_told)" in one.name]


def tick(services: Services, moment: Any) -> None:
    """A tick at this moment, with nothing to do."""
    with heartbeat_url.ping(services, moment):
        status.note_heartbeat(services, TICK, moment)
    told()


# --- what is told -------------------------------------------------------------------------


def test_a_good_tick_asks_for_the_address_once(installed: Installed, listener_: Listener) -> None:
    tick(installed(listener_.url), NOW)
    assert listener_.asked == ["/ping/himitsu"]


def test_a_tick_that_breaks_asks_for_fail_and_still_breaks(
    installed: Installed, listener_: Listener
) -> None:
    with pytest.raises(ZeroDivisionError), heartbeat_url.ping(installed(listener_.url), NOW):
        raise ZeroDivisionError
    told()
    assert listener_.asked == ["/ping/himitsu/fail"]


def test_fail_stands_behind_the_path_and_before_the_question(
    installed: Installed, listener_: Listener
) -> None:
    services = installed(listener_.url + "/?key=a%20b&x=1")
    tick(services, NOW)
    with contextlib.suppress(ValueError), heartbeat_url.ping(services, NOW + MINUTE):
        raise ValueError
    told()
    assert listener_.asked == [
        "/ping/himitsu/?key=a%20b&x=1",
        "/ping/himitsu/fail?key=a%20b&x=1",
    ]


def test_while_an_alarm_holds_a_tick_that_works_is_no_good_one(
    installed: Installed, listener_: Listener, team: People, db: Database
) -> None:
    """A mail waits for 11 minutes; with the mail gone all is well again."""
    services = installed(listener_.url)
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    reminders.plan(services, NOW)
    tick(services, NOW)
    tick(services, NOW + 11 * MINUTE)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state="cancelled"))
    tick(services, NOW + 12 * MINUTE)
    assert listener_.asked == ["/ping/himitsu", "/ping/himitsu/fail", "/ping/himitsu"]


def test_a_pause_is_somebodys_will_until_a_mail_is_late(
    installed: Installed, listener_: Listener, team: People, db: Database
) -> None:
    services = installed(listener_.url)
    status.pause(services, who="cli:root", now=NOW)
    tick(services, NOW)
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    reminders.plan(services, NOW)
    tick(services, NOW + 11 * MINUTE)
    assert listener_.asked == ["/ping/himitsu", "/ping/himitsu/fail"]


def test_without_an_address_nobody_is_told(
    services: Services, db: Database, listener_: Listener
) -> None:
    tick(services, NOW)
    with db.read() as session:
        assert session.get(Service, heartbeat_url.ROW) is None


# --- once a minute, whoever ticks -----------------------------------------------------------


def test_overlapping_ticks_tell_once(installed: Installed, listener_: Listener) -> None:
    programs = [installed(listener_.url) for _ in range(4)]
    start = threading.Barrier(len(programs))

    def one(services: Services) -> None:
        start.wait()
        with heartbeat_url.ping(services, NOW + SECOND):
            pass

    threads = [threading.Thread(target=one, args=(services,)) for services in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told()
    assert listener_.asked == ["/ping/himitsu"]


def test_each_minute_of_the_clock_is_told_though_beat_is_a_little_early(
    installed: Installed, listener_: Listener
) -> None:
    """A tick 59.8 seconds after the last one belongs to the next minute all the same."""
    services = installed(listener_.url)
    for moment in (NOW + SECOND, NOW + 2 * SECOND, NOW + MINUTE + 0.8 * SECOND):
        tick(services, moment)
    assert len(listener_.asked) == 2


def test_a_clock_that_was_set_back_silences_nobody(
    installed: Installed, listener_: Listener
) -> None:
    services = installed(listener_.url)
    tick(services, NOW + 600 * MINUTE)
    tick(services, NOW)
    assert len(listener_.asked) == 2


def test_a_tick_that_breaks_because_the_database_is_away_is_told(
    installed: Installed, listener_: Listener, tmp_path: Path
) -> None:
    away = f"postgresql://x@127.0.0.1:{servers.free_port()}/x"
    services = installed(listener_.url, DATABASE_URL=away)
    with pytest.raises(DatabaseDown), heartbeat_url.ping(services, NOW):
        status.note_heartbeat(services, TICK, NOW)
    told()
    assert listener_.asked == ["/ping/himitsu/fail"]


# --- it delays and breaks nothing, and nobody sees the address -------------------------------


@pytest.mark.parametrize("how", ["hangs", "drips"])
def test_a_listener_that_hangs_or_drips_delays_no_tick(
    installed: Installed, listener_: Listener, how: str
) -> None:
    setattr(listener_, how, True)
    services = installed(listener_.url, TEST_TIME_SCALE="0.4")
    started = time.monotonic()
    with heartbeat_url.ping(services, NOW):
        pass
    assert time.monotonic() - started < 1.5  # the call may take 2 s
    told()  # and the end of a command waits for a bounded time only
    assert time.monotonic() - started < heartbeat_url.OVER_WITHIN * 0.4 + 5
    servers.wait_until(lambda: not still_telling(), "the end of the thread", 20)


def test_a_listener_that_refuses_or_is_away_is_logged_without_its_address(
    installed: Installed, listener_: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener_.code = 404
    nobody = f"http://127.0.0.1:{servers.free_port()}/ping/himitsu"
    with caplog.at_level(logging.DEBUG):
        tick(installed(listener_.url), NOW)
        tick(installed(nobody), NOW + MINUTE)
    said = [one.getMessage() for one in caplog.records if one.name == heartbeat_url.__name__]
    assert said == [
        "HEARTBEAT_URL answers HTTP 404",
        "HEARTBEAT_URL is not told of this tick: ConnectionRefusedError",
    ]
    assert "himitsu" not in caplog.text


@pytest.mark.parametrize("known", [True, False])
def test_only_a_server_with_a_good_certificate_is_told(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(Listener(), context) as server:
        tick(installed(server.url.replace("http:", "https:")), NOW)
        assert len(server.asked) == known


# --- the real programs ----------------------------------------------------------------------


@pytest.mark.slow
def test_the_timers_tick_and_the_workers_tell_and_send_though_the_listener_hangs(  # noqa: PLR0917 - fixtures
    environ: dict[str, str],
    tmp_path: Path,
    team: People,
    db: Database,
    smtp: SmtpServer,
    listener_: Listener,
) -> None:
    listener_.hangs = True
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
    more = {"SMTP_PORT": str(smtp.port), "HEARTBEAT_URL": listener_.url}
    more |= {"TEST_CLOCK_OFFSET": offset_to(NOW), "TEST_TIME_SCALE": "0.2"}
    with running(tmp_path, {**environ, **more}, smtp) as stack:
        stack.command("tick")
        assert listener_.asked == ["/ping/himitsu"]
        assert "suzuki.ichiro@example.jp" in stack.recipients()
        with db.write() as session:  # as if a minute had passed
            session.execute(update(Service).values(at=Service.at))
            row = session.scalars(select(Service).where(Service.name == heartbeat_url.ROW)).one()
            row.at -= MINUTE
        worker = stack.worker()
        stack.publish("notifications.tick")
        servers.wait_until(lambda: len(listener_.asked) == 2, "the worker's word")
        stack.until_said(worker, "notifications.tick")
        assert "himitsu" not in stack.logs()


# --- doctor ---------------------------------------------------------------------------------


def examined(services: Services, tmp_path: Path) -> tuple[Level, str]:
    (found,) = listener(CheckContext(tmp_path, clock.now, services))
    assert found.says.en.isascii()
    return doctor.worst([found]), f"{found.says} {found.fix}"


def test_doctor_says_whether_the_listener_can_be_reached_and_tells_it_nothing(
    installed: Installed, services: Services, listener_: Listener, tmp_path: Path
) -> None:
    level, said = examined(services, tmp_path)  # nobody listens
    assert level is Level.YELLOW
    assert "HEARTBEAT_URL=https://" in said
    run = services.config.model_copy(update={"local_mailbox": True})
    assert examined(replace(services, config=run), tmp_path)[0] is Level.GREEN  # `make run`
    assert examined(installed(listener_.url), tmp_path)[0] is Level.GREEN
    away = installed(f"http://127.0.0.1:{servers.free_port()}/ping/himitsu")
    level, said = examined(away, tmp_path)
    assert level is Level.YELLOW
    assert "himitsu" not in said
    assert listener_.asked == []  # a look by hand must not pass for a tick
