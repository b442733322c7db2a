"""What the operator's commands do, on both databases: addresses, whole teams, tasks that move."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import event, select, text, update

from app.audit import by_member
from app.imports.files import import_file
from app.members import assign, defaults, handover
from app.members.changes import add_member, set_member, set_team
from app.members.own_tasks import edit_task
from app.members.rename_address import rename_address
from app.members.sign_in import ask, make_admin
from app.models import Audit, Kind, Member, OutboxMail, Report, SignInLink, State, Task
from app.monitoring import status
from app.people.lookup import NoSuchMember, find
from app.people.values import ValuesRefused
from app.reminders import brake, plan
from app.services import Services
from tests.conftest import NOW, TODAY, People, task
from tests.databases import on_postgresql
from tests.servers import wait_until

NEW = "suzuki.i@example.jp"
WHO = "test"
HOUR = timedelta(hours=1)


def to(services: Services) -> dict[str, str]:
    """The address of each mail of 鈴木さん, by kind."""
    with services.db.read() as session:
        rows = session.execute(select(OutboxMail.kind, OutboxMail.to_addr)).all()
    return {kind: address for kind, address in rows}


def tasks_of_suzuki(services: Services, team: People) -> None:
    """T-1 and T-2."""
    with services.db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.suzuki)])


def test_mails_that_wait_follow_the_member_and_links_of_the_old_mailbox_end(
    services: Services, team: People, no_digest: None
) -> None:
    tasks_of_suzuki(services, team)
    make_admin(services, team.suzuki.email, WHO, NOW)
    done = rename_address(services, team.suzuki.email, NEW, WHO, NOW)
    assert to(services) == {Kind.REMINDER: NEW, Kind.ADDRESS_CHANGED: team.suzuki.email}
    again = rename_address(services, NEW, team.suzuki.email, WHO, NOW)
    assert (done.mail_id, again.mail_id) == tuple(sorted([done.mail_id or 0, again.mail_id or 0]))
    with services.db.read() as session:
        assert None not in session.scalars(select(SignInLink.used_at)).all()


def test_a_sign_in_mail_that_waits_ends_with_its_link(services: Services, team: People) -> None:
    ask(services, team.suzuki.email, "/", NOW)
    rename_address(services, team.suzuki.email, NEW, WHO, NOW)
    with services.db.read() as session:
        mail = session.scalars(select(OutboxMail).where(OutboxMail.kind == Kind.SIGN_IN)).one()
    assert (mail.state, mail.to_addr) == (State.CANCELLED, team.suzuki.email)


def test_a_mail_that_may_have_arrived_keeps_its_address(
    services: Services, team: People, no_digest: None
) -> None:
    tasks_of_suzuki(services, team)
    plan(services, NOW)
    with services.db.write() as session:
        session.scalars(select(OutboxMail)).one().doubts = 1
    rename_address(services, team.suzuki.email, NEW, WHO, NOW)
    assert to(services)[Kind.REMINDER] == team.suzuki.email


def test_tasks_move_close_and_are_listed(services: Services, team: People) -> None:
    tasks_of_suzuki(services, team)
    suzuki, tanaka = team.suzuki.email, team.tanaka.email
    assert handover.hand_over(services, suzuki, tanaka, WHO, NOW, ["T-1"]) == ["T-1"]
    assert assign.assign_task(services, "T-2", tanaka, WHO, NOW) == suzuki
    assign.close_task(services, "T-2", "cancelled", WHO, NOW)
    (left,) = assign.list_tasks(services, team.tanaka.id)
    assert (left.ref, left.assignee, left.last_report_on) == ("T-1", tanaka, None)
    with services.db.read() as session:
        moved = session.scalars(select(Task).order_by(Task.ref)).all()
        assert [(one.assigned_on, one.status) for one in moved] == [
            (TODAY, "open"), (TODAY, "cancelled"),
        ]  # fmt: skip
    assert list(handover.left_behind(services, team.sato.email).led) == [suzuki, tanaka]


@on_postgresql
def test_who_is_given_a_task_can_report_on_it_meanwhile(services: Services, team: People) -> None:
    """The one locks the task and then refers to the member, the other takes the member first."""
    tasks_of_suzuki(services, team)
    give = partial(assign.assign_task, services, "T-1", team.tanaka.email, WHO, NOW)
    with ThreadPoolExecutor(1) as beside:
        with services.db.write() as session:
            task = session.scalars(select(Task).where(Task.ref == "T-1").with_for_update()).one()
            given = beside.submit(give)
            wait_until(lambda: _a_lock_is_waited_for(services), "the other waits for the task")
            session.add(Report(task_id=task.id, reporter_id=team.tanaka.id, counts_for=TODAY,
                               percent=50, status="on_track", text="", created_at=NOW))  # fmt: skip
        assert given.result() == team.suzuki.email


def _a_lock_is_waited_for(services: Services) -> bool:
    with services.db.read() as session:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(session.scalar(text(f"{waits} AND datname = current_database()")))


def test_a_task_comes_to_its_member_and_ends_on_that_members_date(
    services: Services, team: People
) -> None:
    """Nine o'clock on the 24th in Tokyo is the 23rd in Honolulu."""
    tasks_of_suzuki(services, team)
    set_member(services, team.tanaka.email, {"timezone": "Pacific/Honolulu"}, WHO, NOW)
    assign.assign_task(services, "T-1", team.tanaka.email, WHO, NOW)
    given = {"ref": "T-8", "title": "x", "start_on": "2026-11-02", "due_on": "", "report_every": ""}
    assign.add_task(services, team.tanaka.id, given, WHO, NOW)
    file = f"ref,title,assignee_email\nT-2,x,{team.tanaka.email}\nT-9,x,{team.tanaka.email}\n"
    import_file(services, "tasks", file.encode(), now=NOW)
    assign.close_task(services, "T-1", "cancelled", WHO, NOW)
    with services.db.read() as session:
        tasks = {one.ref: one for one in session.scalars(select(Task))}
    monday = date(2026, 11, 23)
    assert {tasks[ref].assigned_on for ref in ("T-1", "T-2", "T-8")} == {monday}
    assert {tasks["T-9"].added_on, tasks["T-9"].start_on} == {monday}
    assert tasks["T-1"].closed_on == monday


@pytest.mark.parametrize("way", ["assign", "hand over"])
def test_who_is_deactivated_while_tasks_are_passed_on_is_given_none(
    services: Services, team: People, way: str
) -> None:
    tasks_of_suzuki(services, team)
    suzuki, tanaka = team.suzuki.email, team.tanaka.email

    def deactivate(_connection: object) -> None:
        set_member(services, tanaka, {"active": "no"}, WHO, NOW)

    ways: dict[str, Callable[[str, str, datetime], object]] = {
        "assign": partial(assign.assign_task, services, "T-1"),
        "hand over": partial(handover.hand_over, services, suzuki),
    }
    event.listen(services.db.engine, "rollback", deactivate, once=True)  # the first look is over
    with pytest.raises(ValuesRefused) as refused:
        ways[way](tanaka, WHO, NOW)
    assert refused.value.faults == [("email", assign.NOT_ACTIVE)]
    assert assign.list_tasks(services, team.tanaka.id) == []


def test_a_team_and_those_with_own_values_change_together(services: Services, team: People) -> None:
    set_member(services, team.tanaka.email, {"active": "no"}, WHO, NOW)
    done = set_team(services, "開発", {"notify_at": "10:15"}, WHO, NOW)
    assert sorted(done) == [team.sato.email, team.suzuki.email]
    own = defaults.own_values(services, ["notify_at", "digest_at"])
    assert [(one.email, one.value) for one in own] == [(one, "10:15") for one in sorted(done)]
    defaults.forget_own_values(services, ["notify_at"], WHO, NOW)
    assert defaults.own_values(services, ["notify_at"]) == []


def test_held_mails_and_the_limit_of_a_day_are_counted(
    services: Services, team: People, no_digest: None
) -> None:
    tasks_of_suzuki(services, team)
    plan(services, NOW)
    assert status.held_mails(services) == (0, 0)
    with services.db.write() as session:
        mail = session.scalars(select(OutboxMail).join(Member)).one()
        assert mail.state == State.READY
        mail.held = "brake"
    assert status.held_mails(services) == (1, 0)
    assert brake.above_limit(services, {TODAY: 51}) == {TODAY: 50}
    assert brake.above_limit(services, {TODAY: 50}) == {}


def test_held_mails_are_counted_where_they_are_stored(
    services: Services, team: People, no_digest: None
) -> None:
    """A brake may hold 200,000; their addresses matter in a pilot alone, and each once."""
    with services.db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.tanaka)])
    plan(services, NOW)
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(held="brake"))
    pilot = services.config.model_copy(update={"mail_only_to": (team.suzuki.email,)})
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    event.listen(services.db.engine, "before_cursor_execute", note)
    assert status.held_mails(services) == (2, 0)
    assert "to_addr" not in " ".join(asked)
    assert status.held_mails(replace(services, config=pilot)) == (2, 1)
    assert "GROUP BY outbox.to_addr" in asked[-1]
    event.remove(services.db.engine, "before_cursor_execute", note)


def test_of_several_renamings_at_once_one_is_done_and_the_others_find_nobody(
    services: Services, team: People
) -> None:
    def renamed(number: int) -> bool:
        try:
            rename_address(services, team.suzuki.email, f"{number}@example.jp", WHO, NOW)
        except NoSuchMember:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(renamed, range(4))) == [False, False, False, True]


def test_a_task_whose_title_is_longer_than_pages_take_can_still_be_changed(
    services: Services, team: People
) -> None:
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki, title="長" * 300))
    with services.db.read() as session:
        number = session.scalars(select(Task.id)).one()
    page = {"title": "長" * 300, "due_on": "2026-12-25"}
    edit_task(services, team.suzuki.id, number, page, NOW)
    with services.db.read() as session:
        assert session.get_one(Task, number).due_on == date(2026, 12, 25)
    with pytest.raises(ValuesRefused):
        edit_task(services, team.suzuki.id, number, {"title": "長" * 299}, NOW)


def test_what_was_done_by_an_address_is_said_of_whose_it_was_at_that_time(
    services: Services, team: People
) -> None:
    old, now = team.suzuki.email, NOW

    def does(address: str, what: str) -> None:
        with services.db.write() as session:
            session.add(Audit(at=now, who=address, what=what, data={}))

    def of(address: str) -> list[str]:
        with services.db.read() as session:
            mine = by_member(session, find(session, address))
            return list(session.scalars(select(Audit.what).where(mine).order_by(Audit.id)))

    does(old, "suzuki before")
    now += HOUR
    rename_address(services, old, NEW, WHO, now)
    does(NEW, "suzuki after")
    now += HOUR
    add_member(services, {"email": old, "name": "鈴木 二郎"}, WHO, now)
    does(old, "the other one")
    assert of(NEW) == ["suzuki before", "suzuki after"]
    assert of(old) == ["the other one"]
