"""A real gunicorn, asked for every kind of token page: no log of it holds a token."""

import http.client
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from app.config import load
from app.db import Database
from app.links import ReportLink, StopLink
from app.services import make
from app.util.logs import mask_tokens
from tests import servers
from tests.conftest import suzuki, task
from tests.databases import sqlite_copy
from tests.fork_server import launch
from tests.stack import PROJECT

pytestmark = pytest.mark.slow

GUNICORN = Path(sys.executable).parent / "gunicorn"
EVERYTHING = "%(h)s %(r)s %(m)s %(U)s %(q)s %(s)s %(f)s %(a)s %({referer}i)s %({raw_uri}e)s"


@contextmanager
def gunicorn(environ: dict[str, str], log: Path) -> Iterator[int]:
    """gunicorn as the units start it, telling everything it can; yields its port."""
    port = servers.free_port()
    command = [str(GUNICORN), "--threads", "8", "--no-control-socket"]
    command += ["--bind", f"127.0.0.1:{port}", "--log-level", "debug", "--capture-output"]
    command += ["--access-logfile", "-", "--access-logformat", EVERYTHING, "app:create_app()"]
    server = launch(command, log, cwd=PROJECT, env={"PATH": "/usr/bin:/bin", **environ})
    try:
        servers.wait_until(lambda: b"Booting worker" in log.read_bytes(), f"gunicorn, see {log}")
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        # A worker that has just been forked may not hear the TERM: it is killed after 30 s.
        server.wait(90)


def ask(port: int, method: str, path: str, body: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Referer": f"http://127.0.0.1:{port}{path}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection.request(method, path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def ask_badly(port: int, path: str) -> None:
    """Something that gunicorn itself refuses, with words of its own."""
    for line in (
        f"GET {path} HTTP/9.9",
        f"GET {path}",
        f"G<T {path} HTTP/1.1",
        f"GET {path}\x00 x",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
            raw.sendall(f"{line}\r\nHost: x\r\n{path}: x\r\n\r\n".encode())
            while raw.recv(4096):
                pass


def test_no_token_of_a_mail_link_is_in_any_log(tmp_path: Path) -> None:
    environ = {
        "DATABASE_URL": sqlite_copy(tmp_path / "task-progress.sqlite3"),
        "DATA_DIR": str(tmp_path),
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{servers.free_port()}/0",
        "SMTP_HOST": "127.0.0.1",
        "MAIL_FROM": "app@example.jp",
        "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
    }
    services = make(load(environ, tmp_path))
    good, broken = _two_members(services.db)
    today, long_ago = date.today(), date(2020, 1, 6)  # noqa: DTZ011 - a real server's own today
    links = services.links
    reports = [ReportLink(good, today), ReportLink(broken, today), ReportLink(good, long_ago)]
    urls = [links.report_url(link) for link in reports]
    urls += [links.stop_url(StopLink(member, "reminder")) for member in (good, broken)]
    old = links._report.dumps([good, today.toordinal(), "T-1"])
    paths = [urlsplit(url).path for url in urls] + [f"/r/{old}", "/login/a-token-to-sign-in"]
    paths.append(f"/%72{paths[0].removeprefix('/r')}")
    log = tmp_path / "gunicorn.log"
    with gunicorn(environ, log) as port:
        answers = set()
        for path in paths:
            for method in ("GET", "HEAD", "POST", "DELETE"):
                for below in ("", "?t=1&c=50", "/later", "/off", "/undo", "/again", "/nothing"):
                    answers.add(ask(port, method, path + below, "action=undo&until=workday"))
            ask_badly(port, path)
    services.db.close()
    said = log.read_text(encoding="utf-8", errors="replace")
    assert {200, 404, 405, 410, 500} <= answers
    assert said.count("/r/…") > 100  # the log is there, and names the pages
    assert "Exception on /r/<token>" in said
    tokens = {part for path in paths for part in path.split("/")[2].split(".")}
    assert [token for token in tokens if token in said] == []


def _two_members(db: Database) -> tuple[int, int]:
    with db.write() as session:
        good, broken = suzuki(), suzuki()
        broken.email = "broken@example.jp"
        session.add_all([good, broken])
        session.flush()
        session.add_all([task("T-1", good), task("T-2", broken)])
        session.execute(
            text("UPDATE users SET notify_at = 'no time' WHERE id = :id"), {"id": broken.id}
        )
        return good.id, broken.id


@pytest.mark.parametrize(
    "line",
    [
        'GET /r/TOKEN?t=3&c=75 HTTP/1.1" 200 "https://example.jp/x/r/TOKEN/later"',
        "Error handling request /u/TOKEN",
        "cannot open '/login/TOKEN'",
        "</r/TOKEN>",
        "/r/TO.KEN#x",
        "GET /%72/TOKEN?t=3",
        "GET /r%2fTOKEN",
        "GET %2Fu%2FTOKEN%2Flater",
        "GET /%6Cogin/TOKEN",
        "GET /%2572/TOKEN and /r%252FTOKEN",
        "GET /r//TOKEN",
        "GET /r/./TOKEN",
        "GET /login?next=%2Fr%2FTOKEN",
        "GET /api/v1/me?key=%74pk_TOKEN",
        "GET /api/v1/me?key=tpk%5fTOKEN",
        "POST %2574pk_TOKEN",
    ],
)
def test_a_token_is_masked_wherever_it_stands_in_a_line(line: str) -> None:
    assert "TO" not in mask_tokens(line)
    assert "…" in mask_tokens(line)


def test_what_is_no_token_is_not_masked() -> None:
    line = "GET /static/style.css HTTP/1.1 /healthz /u /r/ /team/12 100% of /r%20x %2F %72"
    assert mask_tokens(line) == line
