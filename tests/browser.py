"""A browser without a window: signed in as somebody, sending forms as our own pages do."""

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app import clock
from app.members import sign_in
from app.models import SignInLink
from app.services import Services

OURS = {"Sec-Fetch-Site": "same-origin"}  # what a browser says of a form of ours


def signed_in(app: Flask, services: Services, email: str) -> FlaskClient:
    """Whoever has this address, signed in by a fresh link."""
    sign_in.ask(services, email, "/", clock.now())
    with services.db.read() as session:
        newest = session.scalars(select(SignInLink).order_by(SignInLink.id.desc())).first()
    assert newest is not None
    path = services.links.sign_in_url(newest.id).removeprefix(services.config.app_base_url)
    browser = app.test_client()
    answer = browser.post(path, headers=OURS)
    assert answer.status_code == 302, answer.text
    return browser
