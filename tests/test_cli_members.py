"""The commands about settings, leave, snoozing and looking ahead: words, exit codes, pictures."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select, update

from app import clock, sample
from app.mime.message import width
from app.models import Audit, Member
from app.people.values import UNTIL_FURTHER_NOTICE
from app.services import Services
from tests.conftest import NOW, People, suzuki, task
from tests.databases import on_sqlite
from tests.terminal import ROOT, Terminal

SUZUKI = suzuki().email

pytestmark = [pytest.mark.pages, on_sqlite]


@pytest.fixture(autouse=True)
def at_nine(environ: dict[str, str]) -> None:
    """The program runs on 2026-11-24 at nine in Tokyo."""
    environ["TEST_CLOCK_OFFSET"] = str((NOW - clock.now()).total_seconds())


# --- settings, members, leave -----------------------------------------------------------------------


def test_settings_are_changed_shown_and_put_back(tp: Terminal, team: People) -> None:
    changed = tp.run("settings", "set", "notify_at=08:45", "weekly_day=tue")
    assert changed.out == "notify_at: 09:00 → 08:45\nweekly_day: mon → tue\n"
    shown = {one["key"]: one for one in tp.run("settings", "show", "--json").json}
    assert shown["weekly_day"]["value"] == "tue"
    assert shown["notify_at"]["changed_by"].startswith("cli:")
    assert "08:45" in tp.run("settings", "show").out
    assert tp.run("settings", "set", "notify_at=").out == "notify_at: 08:45 → 09:00\n"
    assert "変わったものはありません" in tp.run("settings", "set", "notify_at=09:00").out


def test_a_member_is_changed_and_shown(tp: Terminal, team: People, services: Services) -> None:
    assert tp.run("member", "set", SUZUKI, "paused_until=2026-12-01", "active=no").code == 0
    found = tp.run("member", "show", SUZUKI, "--json").json
    assert (found["active"], found["own"]["paused_until"]) == (False, "2026-12-01")
    assert found["holds"]["notify_at"] == "09:00"
    assert tp.run("member", "set", SUZUKI, "active=yes", "paused_until=").code == 0
    assert SUZUKI in tp.run("member", "show", SUZUKI).out
    with services.db.read() as session:
        audits = session.scalars(select(Audit.what)).all()
    assert audits == ["member.set", "member.set"]


def test_who_keeps_a_value_of_their_own_is_named_with_the_way_to_change_that(
    tp: Terminal, team: People
) -> None:
    tp.run("member", "set", SUZUKI, "notify_at=10:15")
    changed = tp.run("settings", "set", "notify_at=08:45", "digest_at=08:00").out
    again = "settings set notify_at=08:45 digest_at=08:00 --for-everybody"
    assert [
        word for word in (f"1人は自分の値のままです({SUZUKI} 10:15)", again) if word not in changed
    ] == []
    assert tp.run("member", "show", SUZUKI, "--json").json["holds"]["notify_at"] == "10:15"
    dropped = tp.run("settings", "set", "notify_at=08:45", "--for-everybody").out
    assert f"1人の自分の値を消しました({SUZUKI} 10:15)" in dropped
    assert tp.run("member", "show", SUZUKI, "--json").json["holds"]["notify_at"] == "08:45"
    assert "自分の値" not in tp.run("settings", "set", "notify_at=09:30").out


def test_quiet_hours_of_a_member_are_dropped_as_a_pair(tp: Terminal, team: People) -> None:
    tp.run("member", "set", SUZUKI, "quiet_hours_start=20:00", "quiet_hours_end=07:00")
    both = ("quiet_hours_start=21:00", "quiet_hours_end=06:00")
    assert tp.run("settings", "set", *both).code == 0
    assert tp.run("settings", "set", "quiet_hours_start=22:00", "--for-everybody").code == 0
    holds = tp.run("member", "show", SUZUKI, "--json").json["holds"]
    assert (holds["quiet_hours_start"], holds["quiet_hours_end"]) == ("22:00", "06:00")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["settings", "set"], ["KEY=VALUE"]),
        (["settings", "set", "notify_at"], ["notify_at", "KEY=VALUE"]),
        (["settings", "set", "notify_at=9:5", "weekend=x"], ["notify_at", "09:05", "weekend"]),
        (["settings", "set", "locale=ja", "locale=en"], ["locale"]),
        (["member", "set", SUZUKI, "notfy_at=09:00"], ["notify_at"]),
        (["member", "set", SUZUKI, "active=maybe"], ["active", "yes"]),
        (["leave", "add", SUZUKI, "2026-12-02", "2026-12-01"], ["2026-12-01"]),
        (["leave", "add", SUZUKI, "2026-12-02", "forever"], ["forever"]),
        (["leave", "add", SUZUKI, "2026-12-02", "--name", "x" * 201], ["200"]),
        (["workday", "add", "2026-12-05", UNTIL_FURTHER_NOTICE], ["最後の日"]),
        (["workday", "add", "2026-12-05", "--name", "x" * 201], ["200"]),
        (["member", "set", SUZUKI, "holidays=GB-LON"], ["holidays", "GB-"]),
        (["snooze", SUZUKI, "--until", "tomorrow"], ["15:00", "next-workday"]),
        (["snooze", SUZUKI], ["--until"]),
        (["simulate", "--from", "2026-01-01", "--to", "2027-03-01"], ["400"]),
        (["simulate", "--from", "2026-01-01", "--set", "notify_at=x"], ["notify_at"]),
    ],
)
def test_wrong_values_are_refused_by_name(
    tp: Terminal, team: People, arguments: Sequence[str], words: Sequence[str]
) -> None:
    ran = tp.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert [word for word in words if word not in ran.err] == []


def test_extra_workdays_are_added_listed_and_removed(tp: Terminal, team: People) -> None:
    added = tp.run("workday", "add", "2026-12-05", "--name", "土曜出勤日")
    assert "2026-12-05" in added.out
    assert "土曜出勤日" in added.out
    assert tp.run("workday", "add", "2026-12-12", "2026-12-13", "--user", SUZUKI).code == 0
    everybodys = tp.run("workday", "list", "--json").json
    assert everybodys == [
        {"first_day": "2026-12-05", "last_day": "2026-12-05", "name": "土曜出勤日"}
    ]
    assert "2026-12-12" in tp.run("workday", "list", "--user", SUZUKI).out
    assert "2026-12-12" in tp.run("member", "show", SUZUKI).out
    left = tp.run("workday", "remove", "2026-12-13", "--user", SUZUKI)
    assert "2026-12-13" not in left.out
    assert "出勤日はありません" in tp.run("workday", "remove", "2026-12-05").out
    nothing = tp.run("workday", "remove", "2026-12-05")
    assert (nothing.code, "出勤日はありません" in nothing.err) == (1, True)
    assert tp.run("workday", "list", "--user", "nobody@example.jp").code == 1


def test_a_members_own_holidays_win_over_everybodys(tp: Terminal, team: People) -> None:
    changed = tp.run("member", "set", SUZUKI, "holidays=gb-eng")
    assert changed.out == "holidays: 既定 → GB-ENG\n"
    assert tp.run("member", "show", SUZUKI, "--json").json["holds"]["holidays"] == "GB-ENG"
    span = ("simulate", "--from", "2026-11-23", "--user", SUZUKI, "--set", "holidays=JP", "--json")
    assert tp.run(*span).json[0]["reason"] == "holiday"


def test_a_change_of_team_or_manager_is_told_in_words(tp: Terminal, team: People) -> None:
    assert tp.run("member", "set", SUZUKI, "manager=").out == f"manager: {team.sato.email} → なし\n"
    assert tp.run("member", "set", SUZUKI, "paused_until=2026-12-07").out.startswith(
        "paused_until: なし"
    )
    shown = tp.run("member", "show", SUZUKI, "--json").json
    assert (shown["team"], shown["manager"]) == ("開発", None)


def test_leave_is_added_listed_and_removed(tp: Terminal, team: People) -> None:
    tp.run("leave", "add", SUZUKI, "2026-12-24", "2026-12-25", "--name", "帰省")
    added = tp.run("leave", "add", SUZUKI, "2026-12-25", UNTIL_FURTHER_NOTICE)
    assert "当面の間" in added.out
    assert tp.run("leave", "list", SUZUKI, "--json").json == [
        {"first_day": "2026-12-24", "last_day": None, "name": "帰省"}
    ]
    removed = tp.run("leave", "remove", SUZUKI, "2026-12-24", UNTIL_FURTHER_NOTICE)
    assert removed.out == "休暇はありません。\n"
    assert tp.run("leave", "remove", SUZUKI, "2026-12-24").code == 1


def test_snoozing_and_a_day_off_from_the_command_line(tp: Terminal, team: People) -> None:
    assert "15:00" in tp.run("snooze", SUZUKI, "--until", "15:00").out
    assert tp.run("snooze", SUZUKI, "--until", "08:00").code == 1
    said = tp.run("snooze", SUZUKI, "--until", "next-workday").out
    assert said == "リマインダーは11月25日(水)に再開します。\n"
    assert "11月30日(月)に再開します" in tp.run("snooze", SUZUKI, "--until", "2026-11-30").out
    assert "11月24日(火)を休暇にしました" in tp.run("off-today", SUZUKI).out
    assert tp.run("snooze", SUZUKI, "--until", "16:00").code == 1


# --- looking ahead ----------------------------------------------------------------------------------


@pytest.fixture
def reminded(services: Services, team: People) -> People:
    """鈴木さん has a task, the others have none."""
    with services.db.write() as session:
        session.add(task("T-1", team.suzuki))
    return team


def test_the_picture_of_several_members_is_a_row_each(tp: Terminal, reminded: People) -> None:
    lines = tp.run("simulate", "--from", "2026-11-20", "--to", "2026-11-24").out.splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["2026-11"],
        ["20", "21", "22", "23", "24"],
        ["金", "土", "日", "月", "火"],
    ]
    table = {line.split()[0]: line.split()[1:] for line in lines[5:]}
    assert table[SUZUKI] == ["送", "－", "－", "－", "送"]
    assert table[reminded.sato.email] == ["・", "－", "－", "－", "・"]
    assert table["送る人数"] == ["1", "0", "0", "0", "1"]


def test_every_column_of_the_picture_stands_under_its_day(tp: Terminal, reminded: People) -> None:
    ran = tp.run("simulate", "--from", "2026-11-01", "--to", "2027-11-30")
    blocks = ran.out.split("\n\n")[1:]
    assert len(blocks) > 20
    for block in blocks:
        _, days, weekdays, *rows = block.splitlines()
        assert len({width(line) for line in (days, weekdays, *rows)} - {width(days)}) <= 1
        assert all(width(line) <= 80 for line in block.splitlines())


def test_the_picture_of_one_member_is_a_calendar(tp: Terminal, reminded: People) -> None:
    ran = tp.run("simulate", "--from", "2026-11-19", "--to", "2026-11-24", "--user", SUZUKI)
    assert ran.out.splitlines()[2:] == [
        SUZUKI,
        "            月 火 水 木 金 土 日",
        "2026-11-19           送 送 － －",
        "2026-11-23  － 送",
    ]


def test_a_change_is_shown_before_anybody_saves_it(
    tp: Terminal, reminded: People, services: Services
) -> None:
    span = ("simulate", "--from", "2026-11-23", "--to", "2026-11-24")
    ran = tp.run(*span, "--user", SUZUKI, "--set", "notify_frequency=none")
    assert "Ｘ*Ｘ*" in ran.out
    assert "送る 09:00 JST 1件" in ran.out
    org = tp.run(*span, "--set", "holidays=none", "--set", "notify_at=08:00", "--json").json
    mine = [one for one in org if one["email"] == SUZUKI]
    assert [(one["verdict"], one["before"]["verdict"], one["differs"]) for one in mine] == [
        ("send", "skip", True),
        ("send", "send", True),
    ]
    assert mine[1]["at"] == "2026-11-24T08:00:00+09:00"
    assert mine[1]["before"]["at"] == "2026-11-24T09:00:00+09:00"
    assert "何も変わりません" in tp.run(*span, "--set", "notify_at=09:00").out
    with services.db.read() as session:
        assert session.scalars(select(Audit)).all() == []


def test_many_members_have_no_row_of_totals_that_would_not_fit(
    tp: Terminal, services: Services
) -> None:
    with services.db.write() as session:
        people = [suzuki() for _ in range(101)]
        for n, one in enumerate(people):
            one.email = f"m{n}@example.jp"
        session.add_all(people)
        session.flush()
        session.add_all(task(f"T-{one.id}", one) for one in people)
        session.execute(update(Member).values(weekend=""))
    ran = tp.run("simulate", "--from", "2026-11-24", "--to", "2026-11-25")
    assert "送る人数" not in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("language", ["ja_JP", "en_US"])
def test_the_picture_of_the_tour_is_what_the_program_prints(
    tp: Terminal, services: Services, language: str
) -> None:
    sample.load(services, NOW)
    command = ("simulate", "--from", "2026-12-28", "--to", "2027-01-12")
    ran = tp.program(*command, environ={"LANG": f"{language}.UTF-8", "COLUMNS": "80"})
    shown = f"```\n$ .venv/bin/task-progress {' '.join(command)}\n{ran.out}```\n"
    assert shown in (ROOT / "docs/tour.md").read_text(encoding="utf-8")
