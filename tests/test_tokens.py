"""API tokens: made once, hashed, ended by revoking, by time and by their owner's leaving."""

from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app import tick
from app.access import api_tokens
from app.access.api_tokens import Caller
from app.db import Database
from app.members.changes import set_member
from app.models import ApiToken, Audit, Kind, Member, OutboxMail, Role
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.services import Services
from app.util.logs import mask
from tests.browser import OURS, signed_in
from tests.conftest import NOW, TODAY, People
from tests.sending import send
from tests.smtp_server import SmtpServer
from tests.terminal import Terminal

pytestmark = pytest.mark.pages

SUZUKI = "suzuki.ichiro@example.jp"


def made(services: Services, name: str = "CI", **values: object) -> str:
    """The key of a new token of 鈴木さん."""
    wanted = {"scopes": ["read"], "who": SUZUKI, "now": NOW} | values
    return api_tokens.create(services, SUZUKI, name, **wanted)  # type: ignore[arg-type]  # by name


def refusal(services: Services, key: str, days: int = 0) -> str:
    """Why nobody can call with this key."""
    with pytest.raises(Refused) as caught:
        api_tokens.caller(services, key, NOW + timedelta(days=days))
    return caught.value.code


def test_a_token_says_who_calls_and_is_stored_as_a_hash(
    services: Services, db: Database, team: People
) -> None:
    key = made(services, scopes=["data", "read"], test=True)
    found = api_tokens.caller(services, key, NOW)
    assert isinstance(found, Caller)
    assert (found.me.email, found.who) == (SUZUKI, f"token CI of {SUZUKI}")
    assert (sorted(found.scopes), found.test) == (["data", "read"], True)
    with db.read() as session:
        (row,) = session.scalars(select(ApiToken)).all()
        assert row.shown == key[:12]
        assert row.scopes == "read,data"
        assert key not in str(vars(row)), "a stolen backup would call"
        assert row.expires_on == TODAY + timedelta(days=365)
        entry = session.scalars(select(Audit).where(Audit.what == "token.create")).one()
        assert entry.data["name"] == "CI"


def test_what_is_no_token_is_refused_by_its_own_word(services: Services, team: People) -> None:
    key = made(services)
    for other in ("", "tpk_", key[:-1], key + "A", key[:-1] + "!", key.lower(), "あ" * 47):
        assert refusal(services, other) == Code.TOKEN_UNKNOWN
    assert refusal(services, key, days=366) == Code.TOKEN_EXPIRED
    (row,) = api_tokens.listing(services, NOW)
    api_tokens.revoke(services, row.id, who=SUZUKI, now=NOW)
    api_tokens.revoke(services, row.id, who=SUZUKI, now=NOW)
    assert refusal(services, key) == Code.TOKEN_REVOKED


def test_its_last_day_is_a_day_on_which_it_works(services: Services, team: People) -> None:
    key = made(services, expires_on=TODAY)
    assert api_tokens.caller(services, key, NOW)
    assert refusal(services, key, days=1) == Code.TOKEN_EXPIRED


def test_tokens_die_with_their_owners_leaving_and_stay_dead(
    services: Services, db: Database, team: People, tp: Terminal, tmp_path: object
) -> None:
    key = made(services)
    set_member(services, SUZUKI, {"active": "no"}, "test", NOW)
    assert refusal(services, key) == Code.TOKEN_REVOKED
    set_member(services, SUZUKI, {"active": "yes"}, "test", NOW)
    assert refusal(services, key) == Code.TOKEN_REVOKED


def test_when_it_was_last_used_is_written_once_an_hour(
    services: Services, db: Database, team: People
) -> None:
    key = made(services)
    seen = []
    for minutes in (0, 30, 59, 61):
        api_tokens.caller(services, key, NOW + timedelta(minutes=minutes))
        with db.read() as session:
            seen.append(session.scalars(select(ApiToken.last_used_at)).one())
    assert [at and at - NOW for at in seen] == [timedelta()] * 3 + [timedelta(minutes=61)]


def test_a_use_while_the_clock_was_ahead_is_put_right_by_the_next_one(
    services: Services, db: Database, team: People
) -> None:
    key = made(services)
    seen = []
    for ahead in (timedelta(days=90), timedelta(), timedelta(seconds=5)):
        api_tokens.caller(services, key, NOW + ahead)
        with db.read() as session:
            seen.append(session.scalars(select(ApiToken.last_used_at)).one())
    assert seen == [NOW + timedelta(days=90), NOW, NOW]


def test_every_fault_of_a_new_token_is_named(services: Services, team: People) -> None:
    made(services)
    with pytest.raises(ValuesRefused) as caught:
        made(services, name="CI", scopes=["read", "admin"], expires_on=date(2020, 1, 1))
    assert [key for key, _ in caught.value.faults] == ["scopes", "expires_on", "name"]
    with pytest.raises(ValuesRefused):
        made(services, name="x" * 51)
    with pytest.raises(ValuesRefused):
        made(services, name="x\ny", scopes=[])


def test_a_member_has_so_many_living_tokens_and_no_more(services: Services, team: People) -> None:
    for number in range(api_tokens.MOST):
        made(services, f"T{number}")
    with pytest.raises(ValuesRefused) as caught:
        made(services, "one more")
    assert [key for key, _ in caught.value.faults] == ["name"]
    api_tokens.revoke(services, api_tokens.listing(services, NOW)[0].id, who=SUZUKI, now=NOW)
    made(services, "one more")


def test_the_owner_is_mailed_two_weeks_before_it_ends_once(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    made(services, now=NOW - timedelta(days=2), expires_on=TODAY + timedelta(days=15))
    made(services, name="short", expires_on=TODAY + timedelta(days=3))
    for days in (0, 1, 2):
        tick.run(services, NOW + timedelta(days=days))
    with db.read() as session:
        notice = select(OutboxMail).where(OutboxMail.kind == Kind.TOKEN_NOTICE)
        names = [session.get_one(ApiToken, one.n).name for one in session.scalars(notice)]
    assert sorted(names) == ["CI", "short"]


def test_the_mail_says_which_token_and_until_when(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    made(services, now=NOW - timedelta(days=2), expires_on=TODAY + timedelta(days=13))
    tick.run(services, NOW)
    send(services, lambda: NOW)
    mails = [message_from_bytes(one.data, policy=default) for one in smtp.mails]
    (mail,) = [one for one in mails if "API" in one["Subject"]]
    assert "「CI」" in mail["Subject"]
    body = mail.get_body(("plain",))
    assert body is not None
    assert "/settings/tokens" in body.get_content()


def test_no_mail_about_a_token_that_was_revoked(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    made(services, now=NOW - timedelta(days=2), expires_on=TODAY + timedelta(days=13))
    tick.run(services, NOW)
    api_tokens.revoke(services, api_tokens.listing(services, NOW)[0].id, who="test", now=NOW)
    send(services, lambda: NOW)
    with db.read() as session:
        notice = select(OutboxMail.state).where(OutboxMail.kind == Kind.TOKEN_NOTICE)
        assert session.scalars(notice).all() == ["cancelled"]


def test_commands_make_list_and_revoke(tp: Terminal, team: People) -> None:
    shown = tp.run("token", "create", SUZUKI, "CI", "--scope", "read,data").out
    key = next(word for word in shown.split() if word.startswith("tpk_"))
    (row,) = tp.run("token", "list", "--json").json
    assert (row["owner"], row["name"], row["shown"]) == (SUZUKI, "CI", key[:12])
    assert key not in tp.run("token", "list").out
    assert tp.run("token", "revoke", str(row["id"])).code == 0
    assert tp.run("token", "revoke", "999").code == 1
    assert tp.run("token", "create", SUZUKI, "CI", "--scope", "all").code == 2
    assert tp.run("token", "list", "--user", SUZUKI, "--json").json[0]["ended"]


def test_a_member_makes_and_ends_their_own_on_a_page(
    app: Flask, services: Services, team: People, travel: time_machine.Traveller
) -> None:
    browser = signed_in(app, services, SUZUKI)
    page = browser.post(
        "/settings/tokens", data={"name": "CI", "scopes": ["read", "report"]}, headers=OURS
    )
    key = page.text.partition("<code>tpk_")[2][:43]
    assert api_tokens.caller(services, f"tpk_{key}", NOW).name == "CI"
    assert f"tpk_{key}" not in browser.get("/settings/tokens").text
    assert browser.post("/settings/tokens", data={"name": ""}, headers=OURS).status_code == 422
    (row,) = api_tokens.listing(services, NOW)
    other = signed_in(app, services, team.tanaka.email)
    path = f"/settings/tokens/{row.id}/revoke"
    assert other.post(path, headers=OURS).status_code == 404
    assert browser.post(path, headers=OURS).status_code == 303
    assert refusal(services, f"tpk_{key}") == Code.TOKEN_REVOKED


def test_an_admin_sees_and_ends_everybodys(
    admin: FlaskClient, app: Flask, services: Services, team: People
) -> None:
    made(services)
    assert SUZUKI in admin.get("/admin/tokens").text
    (row,) = api_tokens.listing(services, NOW)
    assert admin.post(f"/admin/tokens/{row.id}/revoke", headers=OURS).status_code == 303
    assert api_tokens.listing(services, NOW)[0].ended
    browser = signed_in(app, services, SUZUKI)
    assert browser.get("/admin/tokens").status_code == 403


def test_no_log_line_holds_a_token() -> None:
    line = "GET /api/v1/me?token=tpk_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG&x=1"
    assert mask(line) == "GET /api/v1/me?token=tpk_…&x=1"
    assert mask("tpk_abc") == "tpk_…"


def test_a_token_has_the_rights_that_its_owner_has_now(
    services: Services, db: Database, team: People
) -> None:
    key = made(services)
    assert not api_tokens.caller(services, key, NOW).me.is_admin
    with db.write() as session:
        session.get_one(Member, team.suzuki.id).role = Role.ADMIN
    assert api_tokens.caller(services, key, NOW).me.is_admin
