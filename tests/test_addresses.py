"""One person, however their address is written: in files, commands, pages, at sign-in, in a pilot."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, insert, select

from app import outbox
from app.alerts import Alarm, raise_alert
from app.config import load
from app.db import Database
from app.imports.file_rows import ImportRefused
from app.imports.files import import_file
from app.maintenance import own_data
from app.members import roster, sign_in
from app.members.changes import add_member, set_member, show_member
from app.mime.address import address_key, bare, spellings
from app.models import (
    Alert,
    Base,
    DecisionRow,
    Kind,
    MailEvent,
    Member,
    OutboxMail,
    Report,
    State,
    Task,
    Team,
)
from app.outbox import browse
from app.outbox.allowlist import in_pilot
from app.outbox.enqueue import NewMail, enqueue
from app.people.columns import HEADERS
from app.people.lookup import check_known, find, nearest
from app.people.values import ValuesRefused
from app.reminders import plan
from app.rules.decision import Reason, Verdict
from app.services import Services
from tests.conftest import NOW, TODAY, People, add_tasks, suzuki
from tests.sending import send
from tests.smtp_server import Plan, SmtpServer

pytestmark = pytest.mark.pages

# As it is stored, and the other ways to write it.
PHONE = "a..b@docomo.ne.jp"
DOMAIN = "hanako@xn--r8jz45g.jp"
SPELLINGS = [
    (PHONE, '"a..b"@docomo.ne.jp'),
    (PHONE, ' "A..b"@DOCOMO.ne.jp'),
    (DOMAIN, "hanako@例え.jp"),
    (DOMAIN, "Hanako@XN--R8JZ45G.JP"),
    (DOMAIN, '"hanako"@例え.JP'),
]
EVERY_SPELLING = pytest.mark.parametrize(("stored", "typed"), SPELLINGS)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def bring(services: Services, what: str, *lines: dict[str, str]) -> tuple[int, int, int]:
    rows = [",".join(quoted(line.get(name, "")) for name in HEADERS[what]) for line in lines]
    data = "\r\n".join([",".join(HEADERS[what]), *rows, ""]).encode()
    result = import_file(services, what, data, now=NOW)
    return result.added, result.changed, result.unchanged


def stored_as(db: Database, email: str, **values: object) -> int:
    """A member whose row holds exactly this."""
    with db.write() as session:
        member = suzuki()
        member.email = email
        for name, value in values.items():
            setattr(member, name, value)
        session.add(member)
        session.flush()
        return member.id


def addresses(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.scalars(select(Member.email)))


# --- the normal form --------------------------------------------------------------------------


@EVERY_SPELLING
def test_every_spelling_has_one_key(stored: str, typed: str) -> None:
    assert address_key(typed) == address_key(stored) == stored
    assert stored in spellings(typed)
    assert address_key(address_key(typed)) == address_key(typed)


@pytest.mark.parametrize("text", ["", "@", '"', '""@x', "no address", "x@" + "例" * 400, "a@b@c"])
def test_what_is_no_address_is_compared_as_it_stands(text: str) -> None:
    assert address_key(text) == text


def test_two_people_stay_two() -> None:
    different = ["a.b@example.jp", "a..b@docomo.ne.jp", "a+x@example.jp", "a@example.jp"]
    assert len({address_key(one) for one in different}) == 4


def test_quotes_are_for_the_wire_alone() -> None:
    assert bare('"a..b"@docomo.ne.jp') == "a..b@docomo.ne.jp"
    assert bare("Hanako@example.jp") == "Hanako@example.jp"


# --- files ------------------------------------------------------------------------------------


@EVERY_SPELLING
def test_a_members_file_knows_who_is_there(
    services: Services, db: Database, stored: str, typed: str
) -> None:
    line = {"email": stored, "name": "花子"}
    assert bring(services, "members", line) == (1, 0, 0)
    assert bring(services, "members", line | {"email": typed.strip()}) == (0, 0, 1)
    assert addresses(db) == [stored]


@EVERY_SPELLING
def test_every_file_finds_the_member(
    services: Services, db: Database, stored: str, typed: str
) -> None:
    member_id = stored_as(db, stored)
    typed = typed.strip()
    lead = {"email": "lead@example.jp", "name": "佐藤", "manager_email": typed}
    assert bring(services, "members", lead) == (1, 0, 0)
    work = {"ref": "T-1", "title": "題", "assignee_email": typed, "start_on": "2026-11-02"}
    assert bring(services, "tasks", work) == (1, 0, 0)
    said = {"task_ref": "T-1", "reporter_email": typed, "reported_on": "2026-11-20"}
    said |= {"percent": "10", "status": "on_track", "text": "順調です"}
    assert bring(services, "reports", said) == (1, 0, 0)
    assert bring(services, "reports", said | {"reporter_email": stored}) == (0, 0, 1)
    off = {"scope": "member", "email": typed, "first_day": "2026-12-01", "last_day": "2026-12-01"}
    assert bring(services, "days-off", off) == (1, 0, 0)
    assert bring(services, "days-off", off | {"email": stored}) == (0, 0, 1)
    with db.read() as session:
        assert session.scalars(select(Task)).one().assignee_id == member_id
        assert session.scalars(select(Report)).one().reporter_id == member_id
        assert find(session, lead["email"]).manager_id == member_id


def test_a_file_that_names_one_person_in_two_ways_is_told(services: Services) -> None:
    lines = [{"email": one, "name": "花子"} for one in ("c@例え.jp", "C@xn--r8jz45g.jp")]
    with pytest.raises(ImportRefused) as refused:
        bring(services, "members", *lines)
    assert "2行目" in refused.value.faults[0].sentence.ja


def test_reports_that_an_older_version_imported_are_known(services: Services, db: Database) -> None:
    """It kept the quotes in the key by which a report is known again."""
    stored_as(db, '"a..b"@docomo.ne.jp')
    bring(services, "tasks", {"ref": "T-1", "title": "題", "start_on": "2026-11-02"})
    said = {"task_ref": "T-1", "reporter_email": '"a..b"@docomo.ne.jp', "text": "順調です"}
    said |= {"reported_on": "2026-11-20", "percent": "10", "status": "on_track"}
    bring(services, "reports", said)
    with db.write() as session:
        (report,) = session.scalars(select(Report))
        parts = ["T-1", '"a..b"@docomo.ne.jp', "2026-11-20", "順調です"]
        report.import_key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    assert bring(services, "reports", said) == (0, 0, 1)
    assert bring(services, "reports", said | {"reporter_email": PHONE}) == (0, 0, 1)


# --- commands and pages -----------------------------------------------------------------------


@EVERY_SPELLING
def test_who_is_asked_for_is_found(
    services: Services, db: Database, stored: str, typed: str
) -> None:
    member_id = stored_as(db, stored)
    assert show_member(services, typed)["email"] == stored
    assert roster.id_of(services, typed) == member_id
    check_known(services, typed)
    with db.read() as session:
        assert nearest(session, typed) == stored
    assert own_data.export(services, typed)["settings"]["email"] == stored
    assert [one.id for one in roster.roster(services, search=typed, limit=10)] == [member_id]
    assert set_member(services, typed, {"notify_at": "10:00"}, "test", NOW)


@EVERY_SPELLING
def test_nobody_is_added_twice(services: Services, db: Database, stored: str, typed: str) -> None:
    add_member(services, {"email": typed.strip(), "name": "花子"}, "test", NOW)
    assert [one.lower() for one in addresses(db)] == [stored]
    with pytest.raises(ValuesRefused):
        add_member(services, {"email": stored, "name": "花子"}, "test", NOW)


@EVERY_SPELLING
def test_an_admin_is_made_of_who_is_there(
    services: Services, db: Database, stored: str, typed: str
) -> None:
    stored_as(db, stored)
    sign_in.make_admin(services, typed, "test", NOW)
    assert addresses(db) == [stored]


@EVERY_SPELLING
def test_the_mails_of_a_member_are_found(
    services: Services, db: Database, stored: str, typed: str
) -> None:
    member_id = stored_as(db, stored)
    with db.write() as session:
        mail = NewMail(
            kind=Kind.REMINDER,
            user_id=member_id,
            to_addr=stored,
            local_date=TODAY,
            not_before=NOW,
            expires_at=NOW + timedelta(hours=9),
        )
        (mail_id,) = enqueue(session, services, [mail], now=NOW)
    assert [one["id"] for one in browse.listing(services, email=typed)] == [mail_id]
    assert [one["id"] for one in browse.newest(services, limit=9, email=typed)] == [mail_id]


@EVERY_SPELLING
def test_sign_in_mails_the_member(app: Flask, db: Database, stored: str, typed: str) -> None:
    stored_as(db, stored)
    browser = app.test_client()
    assert browser.post("/login", data={"email": typed}).status_code == 200
    assert browser.post("/login", data={"email": stored}).status_code == 200
    app.extensions["beside"].shutdown(wait=True)
    with db.read() as session:
        (mail,) = session.scalars(select(OutboxMail))
    assert (mail.to_addr, mail.state) == (stored, State.READY)


# --- a pilot ------------------------------------------------------------------------------------


@EVERY_SPELLING
def test_a_pilot_names_people_and_domains_as_they_write_themselves(
    environ: dict[str, str], tmp_path: Path, stored: str, typed: str
) -> None:
    domain = typed.rpartition("@")[2]
    for named in (typed, domain, f"@{domain}"):
        config = load({**environ, "MAIL_ONLY_TO": f"x@example.jp,{named}"}, tmp_path)
        assert in_pilot(config.mail_only_to, stored)
        assert in_pilot(config.mail_only_to, typed)
        assert not in_pilot(config.mail_only_to, "other@example.jp")


# --- rows of older versions -------------------------------------------------------------------


def test_a_row_with_quotes_is_the_same_person(services: Services, db: Database) -> None:
    member_id = stored_as(db, '"a..b"@docomo.ne.jp')
    for typed in (PHONE, '"a..b"@docomo.ne.jp', "A..B@docomo.ne.jp"):
        assert roster.id_of(services, typed) == member_id
    assert bring(services, "members", {"email": PHONE, "name": "鈴木 一郎"}) == (0, 0, 1)
    assert addresses(db) == ['"a..b"@docomo.ne.jp']


def test_two_rows_of_one_person_stay_within_reach(services: Services, db: Database) -> None:
    """An older version let both in; each is found as it is written, and the older one otherwise."""
    older = stored_as(db, '"a..b"@docomo.ne.jp')
    newer = stored_as(db, PHONE)
    assert roster.id_of(services, '"a..b"@docomo.ne.jp') == older
    assert roster.id_of(services, PHONE) == newer
    assert bring(services, "members", {"email": PHONE, "name": "別名"}) == (0, 1, 0)


# --- gone ---------------------------------------------------------------------------------------

SUZUKI = "suzuki.ichiro@example.jp"


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """It refuses the first recipient, with words that name them."""
    words = f"550 5.1.1 <{SUZUKI}>: Recipient address rejected: User unknown"
    answers = itertools.chain([words], itertools.repeat("ok"))
    with SmtpServer(Plan(script={"rcpt": answers})) as server:
        yield server


def test_who_had_their_data_deleted_is_named_by_the_audit_alone(
    services: Services, db: Database, team: People, smtp: SmtpServer
) -> None:
    add_tasks(db, team)
    plan(services, NOW, only=team.suzuki.id)
    send(services, lambda: NOW)
    plan(services, NOW + timedelta(days=1))
    outbox.sweep(services, NOW + timedelta(days=3))  # those of that day end late
    with db.write() as session:
        raise_alert(session, Alarm.ADDRESS, team.suzuki.id, now=NOW, to=SUZUKI, why="5.1.1")
    assert naming(db, SUZUKI) >= {"users", "outbox", "mail_events", "alerts"}
    own_data.forget(services, team.suzuki.id, NOW + timedelta(days=3))
    assert naming(db, SUZUKI) | naming(db, "鈴木 一郎") == {"audit"}
    with db.read() as session:
        alerts = {one.name.partition(":")[0]: one for one in session.scalars(select(Alert))}
    assert alerts[Alarm.ADDRESS].closed_at is not None
    assert alerts[Alarm.MAIL_FAILED].closed_at is None
    assert team.tanaka.email in (alerts[Alarm.MAILS_EXPIRED].data or {})["members"]


def test_a_mail_that_waits_while_its_member_deletes_their_data_ends_with_its_decision(
    services: Services, db: Database, team: People
) -> None:
    add_tasks(db, team)
    plan(services, NOW, only=team.suzuki.id)
    own_data.forget(services, team.suzuki.id, NOW)
    with db.read() as session:
        mail = session.scalars(select(OutboxMail)).one()
        assert (mail.state, mail.reason) == (State.SUPPRESSED, Reason.INACTIVE)
        decision = session.scalars(select(DecisionRow)).one()
        assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.INACTIVE)
        events = session.scalars(select(MailEvent).order_by(MailEvent.id)).all()
        assert (events[-1].event, events[-1].detail) == (State.SUPPRESSED, Reason.INACTIVE)


def test_of_who_deleted_their_data_no_setting_is_left(
    services: Services, db: Database, team: People
) -> None:
    bookkeeping = {"next_due_at", "led_through", "active_since", "refusals_after"}
    settings = {
        column.name: column
        for column in Member.__table__.columns
        if column.nullable and column.name not in bookkeeping
    }
    examples = {str: "x", bool: False, int: team.sato.id, time: time(9), date: TODAY}
    with db.write() as session:
        team_id = session.scalars(select(Team.id)).first()
        member = session.get_one(Member, team.suzuki.id)
        for name, column in settings.items():
            setattr(member, name, examples[column.type.python_type])
        member.team_id, member.weekly_day, member.notify_frequency = team_id, 4, "weekly"
    own_data.forget(services, team.suzuki.id, NOW)
    with db.read() as session:
        member = session.get_one(Member, team.suzuki.id)
        assert [name for name in settings if getattr(member, name) is not None] == []


def naming(db: Database, words: str) -> set[str]:
    """The tables where these words stand in some column."""
    with db.read() as session:
        return {
            table.name
            for table in Base.metadata.sorted_tables
            for row in session.execute(select(table))
            if any(words in str(value) for value in row)
        }


@pytest.mark.parametrize(
    "typed",
    ["suzuki.ichro@example.jp", "suzuki.ichiro@exmaple.jp", "uszuki.ichiro@example.jp"],
)
def test_a_mistyped_address_is_found_among_many_without_reading_all(
    services: Services, db: Database, team: People, typed: str
) -> None:
    """Letter by letter 200,000 took a thread of the pages for 5 s."""
    others = {"name": "x", "created_at": NOW, "decided_through": TODAY}
    some = [{"email": f"member{n}.sato@example.jp", **others} for n in range(3_000)]
    with db.write() as session:
        session.execute(insert(Member), some)
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    event.listen(services.db.engine, "before_cursor_execute", note)
    with services.db.read() as session:
        assert nearest(session, typed) == SUZUKI
    event.remove(services.db.engine, "before_cursor_execute", note)
    assert "LIMIT" in asked[-1]
