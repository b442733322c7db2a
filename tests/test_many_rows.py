"""Many rows in one statement: what goes in is what an ORM session would have stored."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from app.db import Database, insert_new, update_each
from app.models import DecisionRow, Member, OutboxMail, Setting
from tests.conftest import NOW, TODAY, People

TOKYO = timezone(timedelta(hours=9))


def decision(member: Member, day: date = TODAY, **values: Any) -> dict[str, Any]:
    facts = {"frequency": "daily", "tasks": [["T-1", 2]], "day": "勤労感謝の日 \"'\\ 🗻 %s :x"}
    row = {"user_id": member.id, "slot": "reminder", "local_date": day, "verdict": "send"}
    return {**row, "reason": None, "facts": facts, "at": NOW, "decided_at": NOW, **values}


def test_rows_are_read_as_they_were_given(db: Database, team: People) -> None:
    at = datetime(2026, 11, 24, 9, 0, 0, 123456, TOKYO)
    given = [decision(team.sato, at=at), decision(team.suzuki, verdict="skip", reason="holiday")]
    with db.write() as session:
        new = insert_new(session, DecisionRow, given, (DecisionRow.id, DecisionRow.user_id))
    with db.read() as session:
        rows = {row.user_id: row for row in session.scalars(select(DecisionRow))}
    assert {(row.id, row.user_id) for row in rows.values()} == set(new)
    for one in given:
        assert {name: getattr(rows[one["user_id"]], name) for name in one} == one


def test_the_database_holds_what_the_orm_would_have_written(db: Database, team: People) -> None:
    """Byte for byte where texts are compared: instants and dates on SQLite are texts."""
    ours, orms = decision(team.sato), decision(team.suzuki)
    with db.write() as session:
        insert_new(session, DecisionRow, [ours])
        session.add(DecisionRow(**orms))
    with db.read() as session:
        query = "SELECT slot, local_date, verdict, reason, at, decided_at FROM decisions"
        one, other = session.execute(text(query)).all()
    assert one == other


def test_a_row_that_is_there_stays_and_is_not_named(db: Database, team: People) -> None:
    first = decision(team.sato)
    again = decision(team.sato, verdict="skip", reason="weekend")
    with db.write() as session:
        assert len(insert_new(session, DecisionRow, [first], (DecisionRow.id,))) == 1
        new = insert_new(
            session,
            DecisionRow,
            [again, decision(team.suzuki), decision(team.suzuki)],
            (DecisionRow.user_id, DecisionRow.local_date),
        )
    assert [tuple(row) for row in new] == [(team.suzuki.id, TODAY)]
    with db.read() as session:
        assert set(session.scalars(select(DecisionRow.verdict))) == {"send"}


def test_columns_that_are_left_out_get_their_defaults(db: Database, team: People) -> None:
    mail = {
        "dedupe_key": "k", "user_id": team.sato.id, "kind": "reminder", "local_date": TODAY,
        "to_addr": '"佐藤" <a@example.jp>', "message_id": "m", "date_header": NOW,
        "not_before": NOW, "expires_at": NOW, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    with db.write() as session:
        insert_new(session, OutboxMail, [mail])
    with db.read() as session:
        row = session.scalars(select(OutboxMail)).one()
    assert (row.state, row.n, row.claims, row.held, row.to_addr) == (
        *("ready", 0, 0, None),
        mail["to_addr"],
    )


def test_what_the_session_holds_is_written_first(db: Database, team: People) -> None:
    """A decision that was added but not yet flushed is there: the second one changes nothing."""
    with db.write() as session:
        session.add(DecisionRow(**decision(team.sato)))
        assert insert_new(session, DecisionRow, [decision(team.sato)], (DecisionRow.id,)) == []


@pytest.mark.parametrize("value", ["text", 7, ["a"], {"b": None}, True])
def test_any_json_keeps_its_kind(db: Database, value: Any) -> None:
    row = {"key": "k", "value": value, "changed_by": "test", "changed_at": NOW}
    with db.write() as session:
        insert_new(session, Setting, [row])
    with db.read() as session:
        assert session.get_one(Setting, "k").value == value


def test_none_is_null_in_a_json_column_too(db: Database, team: People) -> None:
    with db.write() as session, pytest.raises(IntegrityError, match=r"(?i)not.null"):
        insert_new(session, DecisionRow, [decision(team.sato, facts=None)])


def test_each_row_gets_its_own_values(db: Database, team: People) -> None:
    wanted = {
        team.sato.id: (date(2026, 12, 1), time(7, 30), NOW),
        team.suzuki.id: (date(2026, 12, 2), None, None),
    }
    with db.write() as session:
        update_each(
            session,
            Member,
            [
                {"id": one, "decided_through": day, "notify_at": at, "next_due_at": due}
                for one, (day, at, due) in wanted.items()
            ],
        )
    with db.read() as session:
        query = select(Member.id, Member.decided_through, Member.notify_at, Member.next_due_at)
        found = {one: tuple(values) for one, *values in session.execute(query)}
    assert {one: found[one] for one in wanted} == wanted
    assert found[team.tanaka.id][0] == team.tanaka.decided_through


def test_a_naive_instant_is_refused(db: Database, team: People) -> None:
    with db.write() as session, pytest.raises(Exception, match="naive"):
        insert_new(session, DecisionRow, [decision(team.sato, at=NOW.replace(tzinfo=None))])
