"""The commands about who is mailed and whose task it is: members join, move and leave."""

from email import message_from_bytes
from email.policy import default

import pytest
from sqlalchemy import select, update

from app import clock
from app.access.sessions import begin
from app.db import Database
from app.models import Audit, Member, OutboxMail, Task, WebSession
from app.reminders import plan
from app.services import Services
from app.util.version import version
from tests.conftest import NOW, People, suzuki, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.terminal import Terminal
from tests.test_cli import many_members

SUZUKI = suzuki().email
NEW = "kato.yumi@example.jp"

pytestmark = [pytest.mark.pages, on_sqlite]


@pytest.fixture(autouse=True)
def at_nine(environ: dict[str, str]) -> None:
    """The program runs on 2026-11-24 at nine in Tokyo."""
    environ["TEST_CLOCK_OFFSET"] = str((NOW - clock.now()).total_seconds())


def audited(services: Services) -> list[str]:
    """What was noted, in order."""
    with services.db.read() as session:
        return list(session.scalars(select(Audit.what).order_by(Audit.id)))


def test_the_version_is_said_without_any_settings(tp: Terminal, team: People) -> None:
    """The first question of who helps: the same answer by option, status and doctor."""
    said = tp.run("--version", SECRET_KEY="")
    assert (said.code, said.out) == (0, f"task-progress {version()}\n")
    assert tp.run("status", "--json").json["version"] == version()
    assert f"Task Progress {version()}" in tp.run("status").out
    found = {one["check"]: one["says"] for one in tp.run("doctor", "--json").json}
    assert version() in found["version"]


# --- joining ------------------------------------------------------------------------------------------


def test_a_member_is_added_with_team_and_manager(
    tp: Terminal, team: People, services: Services
) -> None:
    added = tp.run("member", "add", NEW, "name=加藤由美", "team=開発", f"manager={team.sato.email}")
    assert (added.code, added.err) == (0, "")
    assert "加藤由美さん(kato.yumi@example.jp)" in added.out
    found = tp.run("member", "show", NEW, "--json").json
    assert (found["name"], found["team"], found["manager"], found["active"]) == (
        "加藤由美", "開発", team.sato.email, True,
    )  # fmt: skip
    assert audited(services) == ["member.add"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["team=開発"], ["name"]),
        (["name=加藤", "team=開発部"], ["team", "「開発」"]),
        (["name=加藤", "notify_at=morning", "manager=nobody@example.jp"], ["notify_at"]),
        (["name=加藤", "active=no"], ["active", "member set"]),
        (["name=加藤", "email=a@example.jp"], ["email", "EMAIL"]),
    ],
)
def test_a_member_that_cannot_be_is_refused_by_field(
    tp: Terminal, team: People, typed: list[str], words: list[str]
) -> None:
    ran = tp.run("member", "add", NEW, *typed)
    assert (ran.code, ran.out) == (2, "")
    assert [word for word in words if word not in ran.err] == []
    assert tp.run("member", "show", NEW).code == 1


def test_an_address_joins_once(tp: Terminal, team: People) -> None:
    ran = tp.run("member", "add", SUZUKI.upper(), "name=鈴木")
    assert (ran.code, "email: " in ran.err) == (2, True)


def test_members_are_listed_by_team_state_and_name(tp: Terminal, team: People) -> None:
    tp.run("member", "add", NEW, "name=加藤由美")
    tp.run("member", "set", SUZUKI, "active=no")
    everybody = tp.run("member", "list", "--json").json
    assert [one["email"] for one in everybody] == sorted(
        [NEW, SUZUKI, team.sato.email, team.tanaka.email]
    )
    assert NEW not in tp.run("member", "list", "--team", "開発").out
    away = tp.run("member", "list", "--state", "inactive").out
    assert (SUZUKI in away, "無効" in away, NEW in away) == (True, True, False)
    assert NEW in tp.run("member", "list", "--search", "加藤").out
    assert "いません" in tp.run("member", "list", "--search", "渡辺").out
    assert "「開発」" in tp.run("member", "list", "--team", "開発部").err


# --- tasks --------------------------------------------------------------------------------------------


@pytest.fixture
def tasks(team: People, services: Services) -> People:
    """鈴木さん has T-1 and T-2."""
    with services.db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.suzuki)])
    return team


def refs(tp: Terminal, *arguments: str) -> list[str]:
    """The tasks that `task list` names."""
    return [one["ref"] for one in tp.run("task", "list", *arguments, "--json").json]


def test_a_task_is_added_and_starts_today(tp: Terminal, team: People, services: Services) -> None:
    added = tp.run("task", "add", SUZUKI, "ref=T-9", "title=見積書", "due_on=2026-12-01")
    assert (added.code, added.err) == (0, "")
    (one,) = tp.run("task", "list", "--user", SUZUKI, "--json").json
    assert (one["title"], one["assignee"], one["start_on"]) == ("見積書", SUZUKI, "2026-11-24")
    assert "見積書" in tp.run("task", "list").out
    assert audited(services) == ["task.add"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["title=見積書"], ["ref"]),
        (["ref=T-1", "title="], ["ref", "title"]),
        (["ref=T-9", "title=見積書", "due_on=2026-11-01"], ["due_on"]),
        (["ref=T-9", "title=見積書", "due=2026-12-01"], ["due_on"]),
        (["ref=T-9", "title=見積書", "report_every=monthly"], ["report_every", "weekly"]),
    ],
)
def test_a_task_that_cannot_be_is_refused_by_field(
    tp: Terminal, tasks: People, typed: list[str], words: list[str]
) -> None:
    ran = tp.run("task", "add", SUZUKI, *typed)
    assert (ran.code, ran.out) == (2, "")
    assert [word for word in words if word not in ran.err] == []
    assert refs(tp) == ["T-1", "T-2"]


def test_a_task_is_given_to_another_member(tp: Terminal, tasks: People, services: Services) -> None:
    given = tp.run("task", "assign", "T-1", tasks.tanaka.email)
    assert given.out == f"T-1: {SUZUKI} → {tasks.tanaka.email}\n"
    assert refs(tp, "--user", tasks.tanaka.email) == ["T-1"]
    assert refs(tp, "--user", SUZUKI) == ["T-2"]
    assert audited(services) == ["task.assign"]


def test_a_task_that_nobody_has_can_be_assigned(
    tp: Terminal, team: People, services: Services
) -> None:
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki))
        session.flush()
        session.execute(update(Task).values(assignee_id=None))
    assert tp.run("task", "assign", "T-1", SUZUKI).out == f"T-1: なし → {SUZUKI}\n"
    assert refs(tp, "--user", SUZUKI) == ["T-1"]


def test_a_closed_task_is_listed_as_such_and_cannot_be_closed_or_given_again(
    tp: Terminal, tasks: People, services: Services
) -> None:
    assert tp.run("task", "close", "T-1").out == "T-1: 進行中 → 完了\n"
    assert tp.run("task", "close", "T-2", "--as", "cancelled").code == 0
    assert (refs(tp), refs(tp, "--state", "done")) == ([], ["T-1"])
    assert refs(tp, "--state", "cancelled") == ["T-2"]
    assert audited(services) == ["task.close", "task.close"]
    for again in (["close", "T-1"], ["assign", "T-2", tasks.tanaka.email]):
        ran = tp.run("task", *again)
        assert (ran.code, again[1] in ran.err) == (1, True)


def test_a_task_or_member_that_is_not_there_is_named(tp: Terminal, tasks: People) -> None:
    assert "T-7" in tp.run("task", "close", "T-7").err
    assert tp.run("task", "assign", "T-1", "nobody@example.jp").code == 2
    tp.run("member", "set", tasks.tanaka.email, "active=no")
    assert "無効" in tp.run("task", "assign", "T-1", tasks.tanaka.email).err
    assert refs(tp, "--user", SUZUKI) == ["T-1", "T-2"]


# --- leaving ------------------------------------------------------------------------------------------


def test_tasks_are_moved_all_or_those_named(
    tp: Terminal, tasks: People, services: Services
) -> None:
    tanaka = tasks.tanaka.email
    assert (
        tp.run("member", "move-tasks", SUZUKI, tanaka, "T-2").out == f"T-2: {SUZUKI} → {tanaka}\n"
    )
    unknown = tp.run("member", "move-tasks", SUZUKI, tanaka, "T-1", "T-2")
    assert (unknown.code, "T-2" in unknown.err) == (1, True)
    assert refs(tp, "--user", SUZUKI) == ["T-1"]
    assert tp.run("member", "move-tasks", SUZUKI, tanaka).code == 0
    assert refs(tp, "--user", tanaka) == ["T-1", "T-2"]
    assert "ありません" in tp.run("member", "move-tasks", SUZUKI, tanaka).out
    assert tp.run("member", "move-tasks", tanaka, tanaka).code == 2
    assert audited(services) == ["task.assign", "task.assign"]


def test_without_a_terminal_whoever_goes_leaves_no_task_unsaid(tp: Terminal, tasks: People) -> None:
    ran = tp.run("member", "deactivate", SUZUKI)
    assert (ran.code, ran.out) == (2, "")
    words = ["T-1, T-2", "--hand-over-to", "--leave-open"]
    assert [word for word in words if word not in ran.err] == []
    assert tp.run("member", "show", SUZUKI, "--json").json["active"] is True


def test_whoever_goes_hands_the_tasks_over(tp: Terminal, tasks: People, services: Services) -> None:
    gone = tp.run("member", "deactivate", SUZUKI, "--hand-over-to", tasks.tanaka.email)
    assert gone.code == 0
    assert f"T-1: {SUZUKI} → {tasks.tanaka.email}" in gone.out
    assert tp.run("member", "show", SUZUKI, "--json").json["active"] is False
    assert refs(tp, "--user", tasks.tanaka.email) == ["T-1", "T-2"]
    assert audited(services) == ["member.set", "task.assign", "task.assign"]


def test_a_wrong_receiver_is_refused_before_anybody_goes(tp: Terminal, tasks: People) -> None:
    for to in ("nobody@example.jp", SUZUKI):
        assert tp.run("member", "deactivate", SUZUKI, "--hand-over-to", to).code == 2
    both = tp.run("member", "deactivate", SUZUKI, "--leave-open", "--hand-over-to", SUZUKI)
    assert both.code == 2
    assert tp.run("member", "show", SUZUKI, "--json").json["active"] is True
    assert refs(tp, "--user", SUZUKI) == ["T-1", "T-2"]


def test_tasks_left_open_are_told_with_the_command_that_moves_them(
    tp: Terminal, tasks: People
) -> None:
    gone = tp.run("member", "deactivate", SUZUKI, "--leave-open")
    assert (gone.code, f"member move-tasks {SUZUKI}" in gone.out) == (0, True)
    assert refs(tp, "--user", SUZUKI) == ["T-1", "T-2"]


def test_a_person_at_the_terminal_is_asked_who_takes_the_tasks(tp: Terminal, tasks: People) -> None:
    gone = tp.asked("member", "deactivate", SUZUKI, answer=tasks.tanaka.email)
    assert (gone.code, "T-1" in gone.out, "2件" in gone.err) == (0, True, True)
    assert refs(tp, "--user", tasks.tanaka.email) == ["T-1", "T-2"]
    tp.run("member", "set", SUZUKI, "active=yes")
    tp.run("member", "move-tasks", tasks.tanaka.email, SUZUKI)
    assert "2件残って" in tp.asked("member", "deactivate", SUZUKI, answer="").out


def test_those_whom_the_lead_led_are_named(tp: Terminal, team: People) -> None:
    gone = tp.run("member", "deactivate", team.sato.email)
    assert (gone.code, SUZUKI in gone.out, team.tanaka.email in gone.out) == (0, True, True)


# --- another address ----------------------------------------------------------------------------------


def mails(tp: Terminal, *arguments: str) -> list[tuple[str, str, str]]:
    """Kind, address and state of the mails that `outbox list` names."""
    found = tp.run("outbox", "list", *arguments, "--json").json
    return [(one["kind"], one["email"], one["state"]) for one in found]


def test_the_address_changes_the_history_stays_and_the_old_one_is_told(
    tp: Terminal, tasks: People, services: Services, inbox: SmtpServer
) -> None:
    """The reminder of today waits: it goes to the new address."""
    with services.db.write() as session:
        begin(session, session.get_one(Member, tasks.suzuki.id), NOW)
    done = tp.run("member", "rename-address", SUZUKI, NEW)
    assert (done.code, f"{SUZUKI} → {NEW}" in done.out) == (0, True)
    assert refs(tp, "--user", NEW) == ["T-1", "T-2"]
    assert tp.run("member", "show", SUZUKI).code == 1
    assert mails(tp, "--user", NEW) == [
        ("reminder", NEW, "ready"), ("address_changed", SUZUKI, "ready"),
    ]  # fmt: skip
    assert tp.run("tick").code == 0
    assert {mail.recipient for mail in inbox.mails} >= {SUZUKI, NEW}
    (told,) = [mail for mail in inbox.mails if mail.recipient == SUZUKI]
    assert NEW not in message_from_bytes(told.data, policy=default).as_string()
    with services.db.read() as session:
        assert session.scalars(select(WebSession)).all() == []
    assert "member.rename_address" in audited(services)


@pytest.mark.parametrize("to", ["nobody", suzuki().email, "sato.hanako@example.jp"])
def test_an_address_that_cannot_be_is_refused(tp: Terminal, team: People, to: str) -> None:
    ran = tp.run("member", "rename-address", SUZUKI, to)
    assert (ran.code, ran.out) == (2, "")
    assert tp.run("member", "show", SUZUKI).code == 0


def test_another_spelling_of_the_same_address_is_a_change(tp: Terminal, team: People) -> None:
    assert tp.run("member", "rename-address", SUZUKI, SUZUKI.title()).code == 0
    found = tp.run("member", "show", SUZUKI, "--json").json
    assert found["email"] == "Suzuki.Ichiro@example.jp"


def test_an_address_that_took_no_mail_is_forgotten_and_not_told(
    tp: Terminal, team: People, services: Services
) -> None:
    with services.db.write() as session:
        session.get_one(Member, team.suzuki.id).suppressed_reason = "550 no such user"
    assert "知らせません" in tp.run("member", "rename-address", SUZUKI, NEW).out
    assert tp.run("member", "show", NEW, "--json").json["suppressed"] is None
    assert "address_changed" not in {kind for kind, _, _ in mails(tp)}


def test_what_was_sent_to_the_old_address_is_sent_again_to_the_new_one(
    tp: Terminal, tasks: People, inbox: SmtpServer
) -> None:
    tp.run("tick")
    (mail,) = tp.run("outbox", "list", "--user", SUZUKI, "--json").json
    tp.run("member", "rename-address", SUZUKI, NEW)
    assert tp.run("outbox", "resend", str(mail["id"]), "--yes").code == 0
    assert mails(tp, "--user", NEW)[-1][1] == NEW


# --- a whole team -------------------------------------------------------------------------------------


def test_a_whole_team_gets_another_manager_who_stays_their_own(
    tp: Terminal, team: People, services: Services
) -> None:
    tanaka = team.tanaka.email
    done = tp.run("member", "set", "--team", "開発", f"manager={tanaka}", "weekly_day=fri")
    assert (done.code, "3人" in done.out) == (0, True)
    managers = {one: tp.run("member", "show", one, "--json").json for one in (SUZUKI, tanaka)}
    assert managers[SUZUKI]["manager"] == tanaka
    assert managers[tanaka]["manager"] == team.sato.email
    assert {one["own"]["weekly_day"] for one in managers.values()} == {"fri"}
    assert audited(services) == ["member.set"] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--team", "開発部", "weekly_day=fri"], ["--team", "「開発」"]),
        (["--team", "開発", "manager=nobody@example.jp"], ["manager"]),
        (["--team", "開発", "active=no"], ["active"]),
        (["--team", "開発", SUZUKI], ["KEY=VALUE"]),
        ([SUZUKI], ["KEY=VALUE"]),
    ],
)
def test_what_one_of_a_team_cannot_have_none_gets(
    tp: Terminal, team: People, services: Services, arguments: list[str], words: list[str]
) -> None:
    with services.db.write() as session:
        session.get_one(Member, team.sato.id).role = "admin"
    ran = tp.run("member", "set", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert [word for word in words if word not in ran.err] == []
    assert tp.run("member", "show", SUZUKI, "--json").json["active"] is True
    assert audited(services) == []


# --- an admin -----------------------------------------------------------------------------------------


def test_a_mistyped_admin_becomes_no_member_unless_somebody_says_yes(
    tp: Terminal, team: People
) -> None:
    mistyped = SUZUKI.replace("ichiro", "ichro")
    alone = tp.run("admin", mistyped)
    assert (alone.code, alone.out) == (1, "")
    assert [word for word in (SUZUKI, "--yes") if word not in alone.err] == []
    no = tp.asked("admin", mistyped, answer="n")
    assert (no.code, no.out) == (1, "")
    assert tp.run("member", "show", mistyped).code == 1
    assert tp.asked("admin", NEW, answer="y").code == 0
    assert tp.run("admin", "another@example.jp", "--yes").code == 0
    assert "http" in tp.run("admin", SUZUKI).out


def test_the_first_admin_of_an_empty_database_is_not_asked_about(tp: Terminal) -> None:
    assert "http" in tp.run("admin", NEW).out


# --- what would not go out ----------------------------------------------------------------------------


def test_simulate_counts_what_the_pilot_and_the_volume_brake_do(
    tp: Terminal, team: People, db: Database
) -> None:
    with db.write() as session:
        session.add(task("S-1", team.suzuki))
    day = ("simulate", "--from", "2026-11-25")
    assert tp.run(*day, "--user", SUZUKI).err == ""
    pilot = tp.run(*day, "--user", SUZUKI, MAIL_ONLY_TO="pilot@example.jp").err
    assert "1通のうち1通は、MAIL_ONLY_TO" in pilot
    many_members(db, 51)
    assert "2026年11月25日(水)の52通は、その日の上限の50通" in tp.run(*day).err


def test_resume_counts_the_held_mails_that_the_pilot_keeps(
    tp: Terminal, tasks: People, services: Services
) -> None:
    plan(services, NOW)
    with services.db.write() as session:
        session.execute(update(OutboxMail).values(held="brake"))
    said = tp.run("resume", MAIL_ONLY_TO="pilot@example.jp").out
    assert "確認待ちのメール: 1通" in said
    assert "MAIL_ONLY_TO の対象外で送られないもの: 1通" in said
    assert "MAIL_ONLY_TO" not in tp.run("resume", MAIL_ONLY_TO="pilot@example.jp").out
