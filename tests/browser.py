"""A browser without a window: signed in as a member, sending forms as our own pages do."""

from flask import Flask
from flask.testing import FlaskClient

from app import clock
from app.access import sessions
from app.people.lookup import find
from app.services import Services
from app.web.access import KEY

OURS = {"Sec-Fetch-Site": "same-origin"}  # what a browser says of a form of ours


def signed_in(app: Flask, services: Services, email: str) -> FlaskClient:
    """The browser of the member with this address; signing in by a link is tests/test_sign_in.py's."""
    with services.db.write() as session:
        key = sessions.begin(session, find(session, email), clock.now())
    browser = app.test_client()
    with browser.session_transaction() as cookie:
        cookie[KEY] = key
    return browser
