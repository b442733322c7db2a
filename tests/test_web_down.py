"""The pages while the database is away: a page that says so, and when to come again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.db import Database
from app.services import Services
from tests.browser import signed_in
from tests.conftest import People
from tests.databases import on_sqlite

pytestmark = [pytest.mark.pages, on_sqlite]


@pytest.fixture
def visitor(
    app: Flask, services: Services, db: Database, team: People, tmp_path: Path
) -> Iterator[FlaskClient]:
    """佐藤さん has signed in; then the database cannot be opened any more."""
    browser = signed_in(app, services, team.sato.email)
    file, away = tmp_path / "task-progress.sqlite3", tmp_path / "away"
    services.db.close()
    db.close()
    for journal in tmp_path.glob("task-progress.sqlite3-*"):
        journal.unlink()
    file.rename(away)
    file.mkdir()
    yield browser
    services.db.close()
    file.rmdir()
    away.rename(file)


@pytest.mark.parametrize("path", ["/", "/team", "/settings", "/outbox", "/login"])
def test_a_page_without_its_database_is_503_and_says_when_to_come_again(
    visitor: FlaskClient, path: str
) -> None:
    answer = visitor.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "このページを表示できません" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_health_names_the_database(visitor: FlaskClient) -> None:
    answer = visitor.get("/healthz")
    assert (answer.status_code, answer.json["reasons"]) == (503, ["database"])  # type: ignore[index] # it is a dict
