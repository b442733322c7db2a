"""SECRET_KEY is replaced while mails are out and people are signed in; both databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from urllib.parse import urlsplit

import pytest
import time_machine
from flask.testing import FlaskClient
from sqlalchemy import select

from app import create_app
from app.config import load
from app.db import Database
from app.links import ReportLink, StopLink
from app.members import sign_in
from app.models import Kind, SignInLink
from app.services import Services, make
from tests.conftest import NOW, TODAY, People, task

pytestmark = pytest.mark.pages

OURS = {"Sec-Fetch-Site": "same-origin"}
NEW = {"SECRET_KEY": "another made-up key, for tests only: 9876543210"}


@pytest.fixture(autouse=True)
def nine() -> Iterator[None]:
    """Nine o'clock on Tuesday."""
    with time_machine.travel(NOW, tick=False):
        yield


Site = Callable[..., tuple[FlaskClient, Services]]


@pytest.fixture
def site(environ: dict[str, str]) -> Iterator[Site]:
    """`site(SECRET_KEY=…)`: the pages with these settings, and what they work with."""
    with ExitStack() as stack:

        def opened(**values: str) -> tuple[FlaskClient, Services]:
            config = load({**environ, **values})
            services = make(config)
            app = create_app(config, services)
            stack.callback(services.db.close)
            stack.callback(app.extensions["beside"].shutdown)
            return app.test_client(), services

        yield opened


def sign_in_path(services: Services, email: str) -> str:
    """That of a fresh link."""
    sign_in.ask(services, email, "/", NOW)
    with services.db.read() as session:
        newest = session.scalars(select(SignInLink.id).order_by(SignInLink.id.desc())).first()
    assert newest is not None
    return urlsplit(services.links.sign_in_url(newest)).path


def test_links_sessions_and_sign_in_go_on_under_a_new_key_and_end_with_the_old_one(
    site: Site, environ: dict[str, str], db: Database, team: People
) -> None:
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    browser, services = site()
    link = services.links
    report = urlsplit(link.report_url(ReportLink(team.suzuki.id, TODAY))).path
    old_report = f"/r/{link._report.dumps([team.suzuki.id, date.toordinal(TODAY), 'T-1'])}"
    stop = urlsplit(link.stop_url(StopLink(team.suzuki.id, Kind.REMINDER))).path
    entered, mailed, late = (
        sign_in_path(services, one.email) for one in (team.suzuki, team.sato, team.tanaka)
    )
    assert browser.post(entered, headers=OURS).status_code == 302
    cookie = browser.get_cookie("session")
    assert cookie is not None

    rotated, after = site(**NEW, SECRET_KEY_PREVIOUS=environ["SECRET_KEY"])
    rotated.set_cookie("session", cookie.value)
    assert rotated.get("/settings").status_code == 200
    assert {rotated.get(path).status_code for path in (report, old_report, stop)} == {200}
    assert rotated.post(mailed, headers=OURS).status_code == 302
    fresh = urlsplit(after.links.report_url(ReportLink(team.suzuki.id, TODAY))).path
    assert fresh != report

    alone, _ = site(**NEW)
    assert alone.get(fresh).status_code == 200
    alone.set_cookie("session", cookie.value)
    assert alone.get("/settings").status_code == 302
    assert {alone.get(path).status_code for path in (report, old_report, stop)} == {404}
    assert alone.post(late, headers=OURS).status_code in {404, 410}
