"""The command line: the real program, its exit codes, its words, its refusals."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
import time_machine
from sqlalchemy import select, update

from app import clock
from app.alerts import Alarm, close_alert, raise_alert
from app.cli import cli
from app.cli.commands import EXAMPLES
from app.db import Database
from app.locale import Both
from app.models import Audit, DecisionRow, Member, OutboxMail, Service
from app.outbox.breaker import Breaker
from app.people.columns import HEADERS
from app.smtp.errors import MailSendError, Phase
from tests import servers
from tests.conftest import NOW, People, suzuki, task
from tests.databases import on_sqlite
from tests.smtp_server import SmtpServer
from tests.terminal import Terminal

pytestmark = pytest.mark.pages

# Long before the hour of a reminder nobody waits: 2026-11-24 12:00 in Tokyo.
NOON = "2026-11-24T12:00:00+09:00"
LATER = "2026-11-24T12:10:00+09:00"


@pytest.fixture
def anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """A folder without any settings."""
    return Terminal({}, tmp_path, monkeypatch, capsys)


def recipients(inbox: SmtpServer) -> list[str]:
    return [mail.recipient for mail in inbox.mails]


def many_members(db: Database, number: int, tag: str = "") -> None:
    """That many members, each with one task to report on; `tag` tells the mail server what to do."""
    with db.write() as session:
        people = [suzuki() for _ in range(number)]
        for n, one in enumerate(people):
            one.email = f"m{n}{tag}@example.jp"
        session.add_all(people)
        session.flush()
        session.add_all([task(f"T-{n}", one) for n, one in enumerate(people)])


@pytest.fixture
def unreported(db: Database, team: People, no_digest: None) -> People:
    """鈴木さん has not reported on T-1; the others have no task."""
    with db.write() as session:
        session.add(task("T-1", team.suzuki))
    return team


# --- wrong usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["remid"], ["remid", "remind"]),
        (["outbox", "lst"], ["list"]),
        (["remind", "--al"], ["--all"]),
        (["why"], ["EMAIL"]),
        (["simulate"], ["--from"]),
        (["simulate", "--from", "tomorrow"], ["tomorrow", "2026-11-24"]),
        (["simulate", "--from", "2026-11-31"], ["2026-11-31"]),
        (["simulate", "--from"], ["--from"]),
        (["outbox", "show", "x"], ["ID"]),
        (["outbox", "list", "--state", "redy"], ["ready"]),
        (["import", "member", "x.csv"], ["members"]),
        (["tick", "--now", "noon"], ["2026-11-24T09:00:00+09:00"]),
        (["run", "--port", "99999"], ["65535"]),
        (["status", "extra"], ["余分な引数があります: extra"]),
        (["simulate", "--from", "1900-01-01"], ["範囲の外", "1990-01-01"]),
    ],
)
def test_wrong_usage_is_told_with_usage_and_the_nearest_right_one(
    anywhere: Terminal, arguments: list[str], words: list[str]
) -> None:
    ran = anywhere.run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    usage, *sentences = ran.err.splitlines()
    assert usage.startswith("使い方: task-progress")
    assert len(sentences) == 1, "one language"
    assert all(word in ran.err for word in words)


def test_nothing_at_all_shows_the_help_and_is_wrong_usage(anywhere: Terminal) -> None:
    ran = anywhere.run()
    assert ran.code == 2
    assert "remind" in ran.err


@pytest.mark.parametrize("command", [[], ["remind"], ["outbox"], ["import"], ["run"]])
def test_every_command_has_help(anywhere: Terminal, command: list[str]) -> None:
    ran = anywhere.run(*command, "--help")
    assert ran.code == 0
    assert "オプション:" in ran.out


def paths(command: click.Command, name: str) -> Iterator[str]:
    """Every command that does something, as it is typed."""
    if not isinstance(command, click.Group):
        yield name
        return
    for word, one in command.commands.items():
        yield from paths(one, f"{name} {word}")


def test_every_command_shows_one_example_that_it_would_take(anywhere: Terminal) -> None:
    assert sorted(EXAMPLES) == sorted(paths(cli, "task-progress"))
    for path, words in EXAMPLES.items():
        names = path.split()[1:]
        shown = anywhere.run(*names, "--help").out
        assert f"例: {path} {words}".rstrip() in shown
        command: click.Command = cli
        for name in names:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        command.make_context(path, shlex.split(words.partition(" >")[0]))


def test_the_words_of_click_in_the_help_are_japanese_too(anywhere: Terminal) -> None:
    assert "[オプション] コマンド [引数]..." in anywhere.run("--help").out
    assert "[必須]" in anywhere.run("simulate", "--help").out
    assert "[既定: 8000]" in anywhere.run("run", "--help").out


def test_bad_settings_are_told_in_the_language_of_the_shell(anywhere: Terminal) -> None:
    assert anywhere.run("status", SMTP_PORT="x", LANG="ja_JP.UTF-8").err.startswith("設定に")
    assert anywhere.run("status", SMTP_PORT="x", LANG="en_US.UTF-8").err.isascii()
    typed = anywhere.run("status", MAIL_ONLY_TO="foo bar").err
    assert "foo bar" in typed
    assert "x@" not in typed


@pytest.mark.slow
def test_an_error_is_told_in_the_language_of_the_shell_alone(
    anywhere: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "m.csv").mkdir()
    wrong = ("import", "members", "m.csv")
    assert anywhere.run(*wrong).err == "m.csv を使えません(フォルダーです)。\n"
    english = anywhere.program(*wrong, environ={"LANG": "en_US.UTF-8"})
    assert english.err == "m.csv: Is a directory.\n"


@pytest.mark.slow
def test_help_is_in_the_language_of_the_shell_and_japanese_where_it_names_none(
    anywhere: Terminal,
) -> None:
    english = anywhere.program("remind", "--help", environ={"LANG": "en_US.UTF-8"})
    assert "Options:" in english.out
    assert english.out.isascii()
    assert "オプション:" in anywhere.program("remind", "--help", environ={"LC_ALL": "C"}).out


def test_bad_settings_stop_every_command_by_name(anywhere: Terminal) -> None:
    ran = anywhere.run("status", SMTP_PORT="abc", APP_TIMEZONE="JST")
    assert ran.code == 2
    assert "SMTP_PORT" in ran.err
    assert "Asia/Tokyo" in ran.err


def test_remind_wants_to_know_whom(anywhere: Terminal) -> None:
    assert anywhere.run("remind").code == 2
    assert anywhere.run("remind", "--all", "--user", "a@example.jp").code == 2


@on_sqlite
def test_rehearsals_are_refused_where_mail_could_reach_somebody(tp: Terminal) -> None:
    for arguments in (
        ["tick", "--rehearsal", "--now", NOON],
        ["remind", "--all", "--rehearsal", "--date", "2026-11-24"],
    ):
        ran = tp.run(*arguments, SMTP_HOST="smtp.example.jp")
        assert ran.code == 2
        assert "127.0.0.1" in ran.err


@on_sqlite
def test_a_server_of_this_machine_wants_the_word_rehearsal_and_the_mailbox_does_not(
    tp: Terminal,
) -> None:
    for arguments in (["tick", "--now", NOON], ["remind", "--all", "--date", "2026-11-24"]):
        ran = tp.run(*arguments)
        assert ran.code == 2
        assert "--rehearsal" in ran.err
        assert tp.run(*arguments, "--rehearsal").code == 0
        assert tp.run(*arguments, TASK_PROGRESS_MAILBOX="1").code == 0


# --- the database is not there -----------------------------------------------------------------------


def test_a_database_without_its_schema_names_the_command_to_run(
    anywhere: Terminal, tmp_path: Path
) -> None:
    assert anywhere.run("status").code == 2
    ran = anywhere.run("status")
    assert "task-progress db upgrade" in ran.err
    assert anywhere.run("db", "upgrade").code == 0
    assert anywhere.run("db", "upgrade").code == 0
    assert anywhere.run("status").code == 0


def test_a_server_that_does_not_answer_is_told_without_its_password(anywhere: Terminal) -> None:
    url = f"postgresql://me:hush@127.0.0.1:{servers.free_port()}/x"
    ran = anywhere.run("status", DATABASE_URL=url)
    assert ran.code == 1
    assert "DATABASE_URL" in ran.err
    assert "hush" not in ran.err


@pytest.mark.slow
@on_sqlite
def test_a_database_in_a_read_only_folder_is_told_with_its_path_from_here(
    tp: Terminal, tmp_path: Path, database_url: str
) -> None:
    # Root may write anywhere, except in a user namespace.
    as_somebody = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    before = as_somebody if os.geteuid() == 0 else ()
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this root has no user namespaces")
    (tmp_path / "task-progress.sqlite3").chmod(0o444)
    tmp_path.chmod(0o555)
    ran = tp.program("pause", before=before)
    tmp_path.chmod(0o755)
    assert ran.code == 1
    assert ran.err.startswith("task-progress.sqlite3: ないか、開けないか、書き込めません")


# --- import --------------------------------------------------------------------------------------------


def members_csv(*lines: str) -> str:
    return "\n".join([",".join(HEADERS["members"]), *lines, ""])


GOOD = "a@example.jp,佐藤 花子,,,,,,,,,,,"


@on_sqlite
def test_every_faulty_line_of_an_import_is_told_with_its_number(
    tp: Terminal, tmp_path: Path
) -> None:
    bad = members_csv(GOOD, "b,x,,,,,JST,,,,,,", "c@example.jp,x,boss,,,,,,,,,,")
    (tmp_path / "m.csv").write_text(bad)
    ran = tp.run("import", "members", "m.csv")
    assert ran.code == 1
    for word in ("3行目 email", "3行目 timezone", "4行目 role", "4行目 role"):
        assert word in ran.err
    (tmp_path / "m.csv").write_text(members_csv(GOOD))
    assert tp.run("import", "members", "m.csv", "--json").json["added"] == 1, "nothing was written"


@on_sqlite
def test_of_many_faulty_lines_the_first_twenty_are_told(tp: Terminal, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(members_csv(*[f"a{n},x,,,,,,,,,,," for n in range(23)]))
    ran = tp.run("import", "members", "m.csv")
    assert "23件" in ran.err
    assert "21行目" in ran.err
    assert "22行目" not in ran.err
    assert "ほか 3 件" in ran.err


@on_sqlite
def test_an_empty_outbox_says_so(tp: Terminal, team: People) -> None:
    assert tp.run("outbox", "list").out == "メールはありません。\n"
    assert tp.run("outbox", "list", "--json").json == []


@on_sqlite
def test_a_dry_run_shows_what_it_read_and_writes_nothing(
    tp: Terminal, tmp_path: Path, db: Database
) -> None:
    (tmp_path / "m.csv").write_bytes(members_csv(GOOD).encode("cp932"))
    ran = tp.run("import", "members", "m.csv", "--dry-run")
    assert ran.code == 0
    assert "追加 1" in ran.out
    assert "cp932" in ran.err
    assert "佐藤 花子" in ran.err
    with db.read() as session:
        assert session.scalars(select(Member)).all() == []


@on_sqlite
def test_a_guessed_encoding_is_shown_to_whoever_sits_there(
    tp: Terminal, tmp_path: Path, db: Database
) -> None:
    (tmp_path / "m.csv").write_bytes(members_csv(GOOD).encode("cp932"))
    refused = tp.asked("import", "members", "m.csv", answer="n")
    assert refused.code == 1
    assert "佐藤 花子" in refused.err
    with db.read() as session:
        assert session.scalars(select(Member)).all() == []
    assert tp.asked("import", "members", "m.csv", answer="y").code == 0
    with db.read() as session:
        assert session.scalars(select(Member.name)).one() == "佐藤 花子"
        assert session.scalars(select(Audit.who)).one().startswith("cli:")


def test_a_file_that_is_not_there_is_told(anywhere: Terminal) -> None:
    ran = anywhere.run("import", "members", "nowhere.csv")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "nowhere.csv がありません。")


@on_sqlite
def test_the_sample_team_says_its_day_last(tp: Terminal) -> None:
    ran = tp.run("sample", "load")
    assert ran.code == 0
    assert date.fromisoformat(ran.out.split()[-1])
    assert tp.run("sample", "load").out == ran.out


@on_sqlite
def test_the_sample_team_is_refused_among_real_members(tp: Terminal, team: People) -> None:
    assert tp.run("sample", "load").code == 1


# --- mails ---------------------------------------------------------------------------------------------


def test_simulate_names_everybody_with_verdict_and_reason(tp: Terminal, unreported: People) -> None:
    found = tp.run("simulate", "--from", "2026-11-23", "--to", "2026-11-24", "--json").json
    assert [
        (one["email"][:6], one["local_date"], one["verdict"], one["reason"]) for one in found
    ] == [
        ("sato.h", "2026-11-23", "skip", "holiday"),
        ("suzuki", "2026-11-23", "skip", "holiday"),
        ("tanaka", "2026-11-23", "skip", "holiday"),
        ("sato.h", "2026-11-24", "skip", "nothing_unreported"),
        ("suzuki", "2026-11-24", "send", None),
        ("tanaka", "2026-11-24", "skip", "nothing_unreported"),
    ]
    assert found[4]["at"] == "2026-11-24T09:00:00+09:00"
    assert found[4]["tasks"] == ["T-1"]
    table = tp.run("simulate", "--from", "2026-11-24").out
    assert "未報告のタスクがありません" in table


@on_sqlite
def test_simulate_says_that_the_hour_of_a_date_has_passed(tp: Terminal, unreported: People) -> None:
    order = ("simulate", "--from", "2026-11-24")
    words = "2026年11月24日(火)の時刻はすでに過ぎています。"
    with time_machine.travel(NOW - timedelta(minutes=1)):
        assert tp.run(*order).err == ""
        assert tp.run(*order, "--to", "2026-11-25").err == ""
    with time_machine.travel(NOW + timedelta(minutes=1)):
        assert words in tp.run(*order).err
        assert words in tp.run(*order, "--to", "2026-11-25").err
        as_json = tp.run(*order, "--json")
        assert (len(as_json.json), as_json.err) == (3, "")
    with time_machine.travel(NOW + timedelta(days=1)):  # nobody is sent anything there
        assert words in tp.run(*order, "--user", "sato.hanako@example.jp").err


@on_sqlite
def test_simulate_backwards_is_wrong_usage(tp: Terminal) -> None:
    assert tp.run("simulate", "--from", "2026-11-24", "--to", "2026-11-23").code == 2


@on_sqlite
def test_tables_line_up_by_what_a_terminal_shows(tp: Terminal, unreported: People) -> None:
    rows = tp.run("simulate", "--from", "2026-11-24").out.splitlines()
    assert rows[0].startswith("日付        宛先")
    assert rows[1].startswith("2026-11-24  sato.hanako@example.jp    送らない")


@on_sqlite
@pytest.mark.parametrize("command", ["remind", "why", "simulate"])
def test_a_member_who_does_not_exist_is_told_with_the_nearest(
    tp: Terminal, team: People, command: str
) -> None:
    address = "suzuki.ichro@example.jp"
    given = {
        "remind": ["--user", address],
        "why": [address],
        "simulate": ["--from", "2026-11-24", "--user", address],
    }
    ran = tp.run(command, *given[command])
    assert ran.code == 1
    assert team.suzuki.email in ran.err


def test_a_tick_decides_and_sends_and_the_next_one_has_nothing_to_do(
    tp: Terminal, unreported: People, inbox: SmtpServer
) -> None:
    assert "送信 1通" in tp.run("tick", "--rehearsal", "--now", NOON).out
    assert recipients(inbox) == [unreported.suzuki.email]
    assert "対象 0通" in tp.run("tick", "--rehearsal", "--now", LATER).out
    assert len(inbox.mails) == 1
    why = tp.run("why", unreported.suzuki.email, "--date", "2026-11-24")
    assert "メールサーバーが受け付けました" in why.out
    facts = tp.run("why", unreported.suzuki.email, "--date", "2026-11-24", "--json").json
    assert facts["verdict"] == "send"


@pytest.mark.slow
def test_two_ticks_at_once_both_succeed_and_send_one_copy(
    tp: Terminal, unreported: People, inbox: SmtpServer
) -> None:
    both = [tp.start("tick", "--rehearsal", "--now", NOON) for _ in range(2)]
    for one in both:
        _, err = one.communicate(timeout=60)
        assert (one.returncode, "Traceback" in err) == (0, False)
    assert recipients(inbox) == [unreported.suzuki.email]


@pytest.mark.slow
@on_sqlite
def test_ctrl_c_finishes_the_mail_on_its_way_and_says_what_is_left(
    tp: Terminal, db: Database, inbox: SmtpServer
) -> None:
    many_members(db, 5, "+slow")
    inbox.plan.slow = 4.0
    process = tp.start("tick", "--rehearsal", "--now", NOON)
    servers.wait_until(lambda: inbox.mails, "the first mail")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "済み 1通、残り 4通" in err
    with db.read() as session:
        states = sorted(session.scalars(select(OutboxMail.state)))
    assert states == ["accepted", *["ready"] * 4]
    inbox.plan.slow = 0.0
    assert "送信 4通" in tp.run("tick", "--rehearsal", "--now", LATER).out
    assert len(set(recipients(inbox))) == len(inbox.mails) == 5


@on_sqlite
def test_remind_of_more_than_fifty_wants_a_word(tp: Terminal, db: Database) -> None:
    many_members(db, 51)
    order = ("remind", "--all", "--rehearsal", "--date", "2026-11-24")
    refused = tp.run(*order)
    assert refused.code == 1
    assert "51" in refused.err
    assert "--yes" in refused.err
    assert tp.asked(*order, answer="n").code == 1
    with db.read() as session:
        assert session.scalars(select(OutboxMail)).all() == []
    assert tp.asked(*order, answer="y").code == 0
    with db.read() as session:
        mails = session.scalars(select(OutboxMail)).all()
    assert len(mails) == 51
    assert {one.held for one in mails} == {None}


@pytest.mark.slow
@on_sqlite
def test_remind_with_a_closed_stdin_is_refused_like_any_other(tp: Terminal, db: Database) -> None:
    many_members(db, 51)
    closed = ("sh", "-c", '"$@" <&-', "sh")
    ran = tp.program("remind", "--all", "--rehearsal", "--date", "2026-11-24", before=closed)
    assert ran.code == 1
    assert "--yes" in ran.err


def test_remind_shows_each_decision_and_an_existing_one_stands(
    tp: Terminal, unreported: People
) -> None:
    order = ("remind", "--all", "--rehearsal", "--date", "2026-11-24")
    first = tp.run(*order, "--json").json
    assert [(one["verdict"], one["existing"]) for one in first] == [
        ("skip", False),
        ("send", False),
        ("skip", False),
    ]
    again = tp.run(*order)
    assert "決定済み" in again.out
    assert "新しく送るメール: 0通" in again.out


def test_only_a_reminder_as_of_another_time_is_called_a_rehearsal(
    tp: Terminal, unreported: People
) -> None:
    member = "suzuki.ichiro@example.jp"
    with time_machine.travel(NOW, tick=True):  # two looks at the clock differ
        (asked,) = tp.run("remind", "--user", member, "--json").json
        told = tp.run("why", member)
        assert f"メール{asked['mail_id']}は" in told.out
        assert "予行" not in told.out
        assert tp.run("remind", "--user", member, "--rehearsal", "--date", "2026-11-25").code == 0
        assert "予行" in tp.run("why", member, "--date", "2026-11-25").out


@pytest.mark.slow
@on_sqlite
def test_a_reader_that_goes_away_is_no_error_worth_words(tp: Terminal, db: Database) -> None:
    many_members(db, 50)
    nobody_reads = ("sh", "-c", '"$@" | true', "sh")
    ran = tp.program("simulate", "--from", "2026-11-24", "--json", before=nobody_reads)
    assert (ran.code, ran.err) == (0, "")


# --- the outbox --------------------------------------------------------------------------------------------


@pytest.fixture
def one_mail(tp: Terminal, unreported: People, inbox: SmtpServer, db: Database) -> str:
    """The number of a mail to 鈴木さん, accepted."""
    assert tp.run("tick", "--rehearsal", "--now", NOON).code == 0
    with db.read() as session:
        return str(session.scalars(select(OutboxMail.id)).one())


@on_sqlite
def test_the_outbox_is_listed_shown_and_exported(tp: Terminal, one_mail: str) -> None:
    (row,) = tp.run("outbox", "list", "--state", "accepted", "--json").json
    assert list(row) == [
        "id", "kind", "email", "local_date", "state", "reason", "attempts", "message_id",
        "not_before", "accepted_at", "response",
    ]  # fmt: skip
    nobody = tp.run("outbox", "list", "--user", "suzuki.ichro@example.jp", "--json")
    assert (nobody.code, nobody.out) == (1, "")
    assert "suzuki.ichiro@example.jp" in nobody.err
    assert tp.run("outbox", "export", "--user", "nobody@example.jp").code == 1
    assert "suzuki.ichiro@example.jp" in tp.run("outbox", "list", "--date", "2026-11-24").out
    assert "Message-ID" in tp.run("outbox", "show", one_mail).out
    assert tp.run("outbox", "show", one_mail, "--json").json["tasks"] == ["T-1"]
    assert tp.run("outbox", "show", "99999").code == 1
    for number in (2**63, 10**30):
        for command in ("show", "resend", "cancel"):
            answer = tp.run("outbox", command, str(number))
            assert answer.code == 1
            assert str(number) in answer.err


@on_sqlite
def test_an_export_holds_no_formulas(tp: Terminal, one_mail: str, db: Database) -> None:
    with db.write() as session:
        session.execute(update(OutboxMail).values(response="=cmd()"))
    header, row = tp.run("outbox", "export").out.splitlines()
    assert header.startswith("id,kind,email,")
    assert row.endswith(",'=cmd()")


@on_sqlite
def test_sending_an_accepted_mail_again_asks_and_shows_the_copies_so_far(
    tp: Terminal, one_mail: str, db: Database
) -> None:
    refused = tp.run("outbox", "resend", one_mail)
    assert refused.code == 1
    assert f"1通出ているか、出る可能性があります(メール {one_mail})" in refused.err
    assert tp.asked("outbox", "resend", one_mail, answer="n").code == 1
    assert tp.asked("outbox", "resend", one_mail, answer="y").code == 0
    assert tp.run("outbox", "resend", one_mail, "--yes").code == 0
    with db.read() as session:
        mails = session.scalars(select(OutboxMail).order_by(OutboxMail.id)).all()
        audits = session.scalars(select(Audit.who).where(Audit.what == "outbox.resend")).all()
    assert [(one.n, one.resend_of) for one in mails] == [
        (-1, None),  # a rehearsal's
        (1, int(one_mail)),
        (2, int(one_mail)),
    ]
    assert [who.startswith("cli:") for who in audits] == [True, True]


@on_sqlite
def test_a_mail_is_shown_for_people_with_its_links_masked(tp: Terminal, one_mail: str) -> None:
    shown = tp.run("outbox", "show", one_mail).out
    assert "メールサーバーが受け付けました (accepted)" in shown
    assert "鈴木 一郎さん" in shown
    assert "/r/…" in shown
    source = tp.run("outbox", "show", one_mail, "--source").out
    assert "Content-Transfer-Encoding" in source
    assert "/r/…" not in source


@on_sqlite
def test_a_copy_says_of_which_mail_it_is_one(tp: Terminal, one_mail: str) -> None:
    tp.run("outbox", "resend", one_mail, "--yes")
    copy = str(int(one_mail) + 1)
    assert f"resend of {one_mail}" in tp.run("outbox", "show", copy).out
    why = tp.run("why", "suzuki.ichiro@example.jp", "--date", "2026-11-24").out
    assert f"メール{copy}(予行、メール{one_mail}の再送)は送信待ちです" in why


@on_sqlite
def test_who_is_not_active_or_has_a_broken_setting_is_told(
    tp: Terminal, unreported: People, db: Database
) -> None:
    with db.write() as session:
        session.execute(
            update(Member).where(Member.id == unreported.suzuki.id).values(timezone="Mars/Base")
        )
        session.execute(
            update(Member).where(Member.id == unreported.tanaka.id).values(active=False)
        )
    everybody = tp.run("simulate", "--from", "2026-11-24")
    assert everybody.code == 0
    assert "対象外 suzuki.ichiro@example.jp" in everybody.err
    assert "tanaka" not in everybody.out + everybody.err
    for one in (unreported.suzuki, unreported.tanaka):
        assert tp.run("simulate", "--from", "2026-11-24", "--user", one.email).code == 1
    why = tp.run("why", unreported.suzuki.email)
    assert (why.code, "Mars/Base" in why.out) == (0, True)


@on_sqlite
def test_status_tells_of_the_first_tick_and_of_a_late_one(
    tp: Terminal, unreported: People, db: Database, inbox: SmtpServer
) -> None:
    assert "△ 定期処理はまだ一度も動いていません。" in tp.run("status").out
    tp.run("tick")
    assert "○ 最後の定期処理: " in tp.run("status").out
    with db.write() as session:
        session.execute(update(Service).values(at=clock.now() - timedelta(minutes=6)))
    assert "× 5分以上、定期処理が動いていません" in tp.run("status").out


@on_sqlite
def test_status_warns_of_links_that_open_only_here(tp: Terminal, team: People) -> None:
    away = {"SMTP_HOST": "smtp.example.jp", "APP_BASE_URL": "http://localhost:8000"}
    assert "APP_BASE_URL が http://localhost:8000 のため" in tp.run("status", **away).out
    assert "APP_BASE_URL" not in tp.run("status").out


@on_sqlite
def test_status_says_for_how_many_nothing_is_decided_yet(tp: Terminal, team: People) -> None:
    assert "次の定期処理で決まる 3人" in tp.run("status").out


@on_sqlite
def test_status_never_says_can_beside_cannot(tp: Terminal, team: People, db: Database) -> None:
    can = "○ 送信できる状態です。"

    def alarm(alarm: Alarm) -> None:
        with db.write() as session:
            raise_alert(session, alarm, now=clock.now(), why="断られました / refused")

    assert can in tp.run("status").out
    alarm(Alarm.MAIL_FAILED)  # one mail is no reason
    assert can in tp.run("status").out
    with db.write() as session:
        error = MailSendError(Phase.CONNECT, Both("不通", "away"))
        Breaker().trip(session, error, clock.now())
    assert can not in tp.run("status").out
    assert "△ メールサーバーを使えないため、いまは送っていません" in tp.run("status").out
    alarm(Alarm.MAIL_SERVER)
    out = tp.run("status").out
    assert "警告: メールサーバーを使えません" in out
    assert "メールサーバーを使えないため" not in out  # once is enough
    with db.write() as session:
        Breaker().reset(session, clock.now())
    assert can in tp.run("status").out
    for lasting in (Alarm.NOT_ATTEMPTED, Alarm.NOT_ENDED, Alarm.NO_TICK):
        alarm(lasting)
        assert can not in tp.run("status").out
        with db.write() as session:
            close_alert(session, lasting, now=clock.now())
    tp.run("pause")
    assert can not in tp.run("status").out
    tp.run("resume")
    assert can not in tp.run("status", SMTP_HOST="").out


@on_sqlite
def test_status_says_how_to_end_what_stops_mail(tp: Terminal, team: People, db: Database) -> None:
    """A pilot, an address that was refused for good, an alert: each with its way out."""
    with db.write() as session:
        one = update(Member).where(Member.id == team.suzuki.id)
        session.execute(one.values(suppressed_reason="rcpt: 550 5.1.1 unknown"))
        raise_alert(session, Alarm.NO_TICK, now=clock.now())
    out = tp.run("status", MAIL_ONLY_TO="pilot@example.jp").out
    assert ".env の MAIL_ONLY_TO を空にして再起動" in out
    assert "1人への送信を止めています" in out
    assert "suppressed=no" in out
    assert "警告: 5分以上、定期処理が動いていません。`systemctl status celery-beat" in out
    facts = tp.run("status", "--json").json
    assert (facts["suppressed"], facts["alerts"][0]["fix"]["en"][:7]) == (1, "Look at")


@on_sqlite
def test_status_counts_in_words(tp: Terminal, one_mail: str, db: Database) -> None:
    with db.write() as session:
        today = datetime.now(ZoneInfo("Asia/Tokyo")).date()
        session.execute(update(OutboxMail).values(created_at=clock.now()))
        session.execute(
            update(DecisionRow)
            .where(DecisionRow.local_date == date(2026, 11, 24))
            .values(local_date=today)
        )
        raise_alert(session, Alarm.MAIL_SERVER, now=clock.now(), why="止まりました。 / It stopped.")
    out = tp.run("status").out
    assert "うち送る 1件、送らない 2件 – 未報告のタスクがありません(nothing_unreported) 2" in out
    assert "メールサーバーが受け付けました(accepted) 1" in out
    assert "警告: メールサーバーを使えません(止まりました。)。" in out


@on_sqlite
def test_alerts_are_listed_with_what_to_do_and_acknowledged(tp: Terminal, db: Database) -> None:
    assert "警告はありません" in tp.run("alerts", "list").out
    with db.write() as session:
        raise_alert(session, Alarm.MAIL_SERVER, now=clock.now(), why="止まりました / It stopped")
        raise_alert(session, Alarm.MAIL_UNKNOWN, 17, now=clock.now())
    shown = tp.run("alerts", "list").out
    assert "× 1  " in shown
    assert "メールサーバーを使えません(止まりました)。" in shown
    assert "task-progress outbox resend 17" in shown
    server, mail = tp.run("alerts", "list", "--json").json
    assert (server["name"], mail["what"]["ja"][:5]) == ("mail_server_unusable", "メール 1")
    assert server["what"]["en"] == "The mail server cannot be used (It stopped)."
    assert tp.run("alerts", "ack", "999").code == 1
    assert tp.run("alerts", "ack", "x").code == 1
    assert [one["seen_by"] for one in tp.run("alerts", "list", "--json").json] == [None, None]
    assert "うち1件は終わり" in tp.run("alerts", "ack", "all").out
    (left,) = tp.run("alerts", "list", "--json").json
    assert left["name"] == "mail_server_unusable"
    assert left["seen_by"].startswith("cli:")
    assert len(tp.run("alerts", "list", "--all", "--json").json) == 2
    every = tp.run("alerts", "list", "--all").out
    assert re.search(r"終わり: \d+月\d+日\(.\) \d\d:\d\d", every), every
    assert "確認済み" in tp.run("alerts", "list").out
    assert tp.run("alerts", "ack").code == 2


@on_sqlite
def test_only_a_waiting_mail_can_be_cancelled(
    tp: Terminal, unreported: People, db: Database
) -> None:
    tp.run("remind", "--all", "--rehearsal", "--date", "2026-11-24")
    with db.read() as session:
        mail = str(session.scalars(select(OutboxMail.id)).one())
    assert tp.run("outbox", "cancel", mail).code == 0
    ran = tp.run("outbox", "cancel", mail)
    assert ran.code == 1
    assert "cancelled" in ran.err
    assert tp.run("outbox", "cancel", "7").code == 1


# --- the one word -----------------------------------------------------------------------------------------


def test_pause_stops_all_sending_and_resume_starts_it(
    tp: Terminal, unreported: People, inbox: SmtpServer
) -> None:
    assert "送信は止まっておらず" in tp.run("resume").out
    assert tp.run("pause").code == 0
    assert tp.run("status", "--json").json["paused"] is True
    assert "×" in tp.run("status").out.splitlines()[0]
    tp.run("tick", "--rehearsal", "--now", NOON)
    assert inbox.mails == []
    assert tp.run("resume").code == 0
    tp.run("tick", "--rehearsal", "--now", LATER)
    assert recipients(inbox) == [unreported.suzuki.email]


# --- a whole morning again -------------------------------------------------------------------


def fail_all(db: Database) -> None:
    """Every mail was refused for good."""
    with db.write() as session:
        session.execute(update(OutboxMail).values(state="failed", reason="550 5.4.5 limit"))


def number_of_mails(db: Database) -> int:
    with db.read() as session:
        return len(session.scalars(select(OutboxMail.id)).all())


@on_sqlite
def test_a_failed_morning_is_named_by_remind_and_brought_back_by_resend(
    tp: Terminal, unreported: People, db: Database
) -> None:
    remind = ("remind", "--all", "--rehearsal", "--date", "2026-11-24")
    tp.run(*remind)
    fail_all(db)
    told = tp.run(*remind).out
    assert "`task-progress outbox resend --date 2026-11-24 --state failed`" in told
    assert "1通は failed で終わっています" in told
    again = ("outbox", "resend", "--date", "2026-11-24", "--state", "failed")
    assert tp.asked(*again, answer="n").code == 1
    assert number_of_mails(db) == 1
    ran = tp.asked(*again, answer="y")
    assert (ran.code, number_of_mails(db)) == (0, 2)
    assert "1通です" in ran.err
    assert "1通を送り直します" in ran.out
    assert "outbox resend" not in tp.run(*remind).out
    nothing = tp.run(*again, "--yes")
    assert nothing.code == 1
    assert "送り直し済み" in nothing.err


@on_sqlite
def test_more_than_fifty_are_not_sent_again_without_a_word(tp: Terminal, db: Database) -> None:
    many_members(db, 51)
    tp.run("remind", "--all", "--rehearsal", "--date", "2026-11-24", "--yes")
    fail_all(db)
    again = ("outbox", "resend", "--date", "2026-11-24", "--state", "failed", "--reason", "5.4.5")
    refused = tp.run(*again)
    assert refused.code == 1
    assert "51通" in refused.err
    assert "--yes" in refused.err
    assert number_of_mails(db) == 51
    assert tp.run(*again, "--yes").code == 0
    assert number_of_mails(db) == 102


@pytest.mark.parametrize(
    "words",
    [(), ("--date", "2026-11-24"), ("--state", "failed"), ("1", "--state", "failed"),
     ("--date", "2026-11-24", "--state", "ready"), ("1", "--yes", "--reason", "x")],
)  # fmt: skip
def test_resend_wants_one_mail_or_a_date_and_a_state(
    anywhere: Terminal, words: tuple[str, ...]
) -> None:
    assert anywhere.run("outbox", "resend", *words).code == 2


@on_sqlite
def test_a_failed_copy_of_a_mail_that_is_out_asks_too(
    tp: Terminal, one_mail: str, db: Database
) -> None:
    """The copy in the middle of the chain is out, though the one named here is not."""
    tp.run("outbox", "resend", one_mail, "--yes")
    with db.write() as session:
        session.execute(
            update(OutboxMail).where(OutboxMail.id > int(one_mail)).values(state="failed")
        )
        session.execute(update(Member).values(email="new." + Member.email))
    refused = tp.run("outbox", "resend", str(int(one_mail) + 1))
    assert refused.code == 1
    assert f"メール {one_mail})" in refused.err
