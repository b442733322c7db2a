"""Importing CSV files: what is read, what is refused, what a second run does."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from sqlalchemy import func, select

from app import sample
from app.config import load
from app.imports.file_rows import MAX_LINES, ImportRefused
from app.imports.file_table import export_cell, read_table
from app.imports.files import (
    ImportOptions,
    ImportResult,
    import_file,
    import_into,
    preview_file,
)
from app.models import Audit, DaysOff, ExtraWorkday, Member, Report, Setting, Task
from app.people.columns import HEADERS
from app.services import Services, make
from tests.conftest import NOW, TODAY, People
from tests.databases import on_sqlite

MEMBERS = ",".join(HEADERS["members"])
TASKS = ",".join(HEADERS["tasks"])
REPORTS = ",".join(HEADERS["reports"])
DAYS_OFF = ",".join(HEADERS["days-off"])


def member(email: str, name: str = "佐藤 花子", manager: str = "", **cells: str) -> str:
    values = {"email": email, "name": name, "role": "member", "manager_email": manager} | cells
    return ",".join(values.get(column, "") for column in HEADERS["members"])


def csv_of(header: str, *lines: str) -> bytes:
    return "\r\n".join([header, *lines, ""]).encode()


def bring(services: Services, what: str, *lines: str, **options: Any) -> ImportResult:
    header = ",".join(HEADERS[what])
    return import_file(services, what, csv_of(header, *lines), now=NOW, **options)


def faults(services: Services, what: str, *lines: str) -> list[tuple[int, str]]:
    with pytest.raises(ImportRefused) as refused:
        bring(services, what, *lines)
    return [(one.line, one.column) for one in refused.value.faults]


def everyone(services: Services) -> dict[str, Member]:
    with services.db.read() as session:
        return {one.email: one for one in session.scalars(select(Member))}


def counts(result: ImportResult) -> tuple[int, int, int]:
    return result.added, result.changed, result.unchanged


# --- how large a file may be ---------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_file_of_too_many_lines_is_refused_before_it_is_read(end: str) -> None:
    data = ("ref,title" + end + ("1,a" + end) * (MAX_LINES + 2)).encode()
    began = process_time()
    with pytest.raises(ImportRefused) as refused:
        read_table(data, "tasks")
    assert process_time() - began < 0.2
    assert "250,000" in refused.value.faults[0].sentence.en


def test_as_many_lines_as_the_limit_says_are_read() -> None:
    data = ("ref,title,assignee_email\n" + "1,a,\n" * 20_000).encode()
    assert len(read_table(data, "tasks", most_lines=20_000).rows) == 20_000


@pytest.mark.parametrize(
    "cell",
    ["=cmd()", "+1", "-1", "@SUM(A1)", "＝cmd()", "＋1", "－1", "＠SUM(A1)", "\tx", "\rx", "\nx"],
)
def test_exported_cells_never_are_formulas(cell: str) -> None:
    assert export_cell(cell) == f"'{cell}"


def test_exported_cells_are_otherwise_as_they_are() -> None:
    assert [export_cell(one) for one in ("予定=どおり", None, 5)] == ["予定=どおり", "", "5"]


# --- members ---------------------------------------------------------------------------------------


def test_a_manager_may_stand_later_in_the_file(services: Services) -> None:
    bring(
        services, "members", member("a@example.jp", manager="B@example.jp"), member("b@example.jp")
    )
    people = everyone(services)
    assert people["a@example.jp"].manager_id == people["b@example.jp"].id


def test_a_new_member_starts_with_the_next_hour_to_come(services: Services) -> None:
    nine = datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC)  # a second past nine in Tokyo
    lines = csv_of(MEMBERS, member("a@example.jp"), member("b@example.jp", notify_at="10:00"))
    import_file(services, "members", lines, now=nine)
    people = everyone(services)
    assert people["a@example.jp"].decided_through == TODAY
    assert people["b@example.jp"].decided_through == date(2026, 11, 23)
    assert people["a@example.jp"].next_due_at is None


def test_the_same_file_twice_changes_nothing_the_second_time(services: Services) -> None:
    lines = (
        member("Hanako.Sato@Example.JP", team="開発", manager="b@example.jp", notify_at="08:30"),
        member(
            "b@example.jp", weekly_day="fri", quiet_hours_start="22:00", quiet_hours_end="07:00"
        ),
    )
    assert counts(bring(services, "members", *lines)) == (2, 0, 0)
    assert counts(bring(services, "members", *lines)) == (0, 0, 2)
    found = everyone(services)
    assert "Hanako.Sato@example.jp" in found  # the local part as written
    assert found["b@example.jp"].weekly_day == 4
    with services.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Audit)) == 2


def test_settings_of_a_member_stay_as_the_member_chose_them(
    services: Services, team: People
) -> None:
    line = member(team.suzuki.email, "鈴木 一朗", notify_frequency="none", notify_at="07:00")
    assert counts(bring(services, "members", line)) == (0, 1, 0)
    suzuki = everyone(services)[team.suzuki.email]
    assert (suzuki.name, suzuki.notify_frequency, suzuki.notify_at) == ("鈴木 一朗", None, None)


def test_settings_are_overwritten_on_demand_and_the_hour_is_looked_at_again(
    services: Services, team: People
) -> None:
    with services.db.write() as session:
        session.get_one(Member, team.suzuki.id).next_due_at = NOW
    line = member(team.suzuki.email, team.suzuki.name, notify_at="07:00", locale="ja")
    bring(services, "members", line, overwrite_settings=True)
    suzuki = everyone(services)[team.suzuki.email]
    assert (suzuki.notify_at, suzuki.next_due_at) == (time(7), None)


def test_members_missing_from_the_file_are_listed_and_stay_active(
    services: Services, team: People
) -> None:
    result = bring(services, "members", member(team.sato.email))
    assert result.missing == [team.suzuki.email, team.tanaka.email]
    assert all(one.active for one in everyone(services).values())


def test_a_reactivated_member_decides_no_date_twice(services: Services, team: People) -> None:
    bring(services, "members", member(team.suzuki.email, active="no"))
    with services.db.write() as session:
        suzuki = session.get_one(Member, team.suzuki.id)
        assert not suzuki.active
        suzuki.decided_through = date(2026, 11, 30)
    bring(services, "members", member(team.suzuki.email, active="yes"))
    assert everyone(services)[team.suzuki.email].decided_through == date(2026, 11, 30)


def test_a_reactivated_member_is_not_asked_for_the_days_away(
    services: Services, team: People
) -> None:
    bring(services, "members", member(team.suzuki.email, active="no"))
    later = datetime(2026, 12, 10, 3, tzinfo=UTC)
    import_file(services, "members", csv_of(MEMBERS, member(team.suzuki.email)), now=later)
    assert everyone(services)[team.suzuki.email].decided_through == date(2026, 12, 10)


def test_an_address_twice_in_one_file_is_a_fault_also_in_other_case(services: Services) -> None:
    lines = member("a@example.jp"), member("A@example.jp"), member("a+ml@example.jp")
    assert faults(services, "members", *lines) == [(3, "email")]


def test_a_plus_tag_is_another_person_and_known_case_an_update(
    services: Services, team: People
) -> None:
    result = bring(
        services,
        "members",
        member("Suzuki.Ichiro@example.jp"),
        member("suzuki.ichiro+x@example.jp"),
    )
    assert counts(result) == (1, 1, 0)
    assert {"suzuki.ichiro@example.jp", "suzuki.ichiro+x@example.jp"} <= everyone(services).keys()


@pytest.mark.parametrize(
    "email",
    [
        "ｔａｎａｋａ＠ｅｘａｍｐｌｅ．ｊｐ",
        "a..b@example.jp",
        "花子 <h@example.jp>",
        "a@b@c.jp",
        "a",
    ],
)
def test_an_address_no_mail_can_go_to_is_refused(services: Services, email: str) -> None:
    assert faults(services, "members", member(email)) == [(2, "email")]


def test_a_japanese_phone_address_and_a_japanese_domain_are_taken(services: Services) -> None:
    bring(services, "members", member("a..b@docomo.ne.jp"), member("c@例え.jp"))
    assert everyone(services).keys() == {"a..b@docomo.ne.jp", "c@xn--r8jz45g.jp"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("role", "boss"),
        ("locale", "fr"),
        ("timezone", "JST"),
        ("notify_frequency", "hourly"),
        ("notify_at", "25:00"),
        ("weekly_day", "0"),
        ("quiet_hours_start", "22:00"),
        ("active", "maybe"),
        ("manager_email", "nobody@example.jp"),
        ("manager_email", "a@example.jp"),
        ("name", '"a\nBcc: b"'),
        ("team", "x" * 201),
    ],
)
def test_each_bad_cell_is_named_in_both_languages(
    services: Services, column: str, value: str
) -> None:
    with pytest.raises(ImportRefused) as refused:
        bring(services, "members", member("a@example.jp", **{column: value}))
    (fault,) = refused.value.faults
    assert (fault.line, fault.column) == (2, column)
    assert fault.sentence.ja != fault.sentence.en


def test_cells_that_look_like_formulas_are_stored_as_text(services: Services) -> None:
    names = ["=cmd()", "+81", "-x", "@home", "\tTAB"]
    lines = [member(f"m{n}@example.jp", name) for n, name in enumerate(names)]
    bring(services, "members", *lines)
    assert sorted(one.name for one in everyone(services).values()) == sorted(names)


def test_one_bad_line_among_199_good_ones_writes_nothing(services: Services) -> None:
    good = [member(f"m{n}@example.jp", team="営業") for n in range(199)]
    bad = member("bad", timezone="Tokio")
    assert set(faults(services, "members", *good, bad)) == {(201, "email"), (201, "timezone")}
    assert everyone(services) == {}


def test_a_dry_run_counts_and_writes_nothing(services: Services) -> None:
    result = bring(services, "members", member("a@example.jp"), dry_run=True)
    assert counts(result) == (1, 0, 0)
    assert result.preview[0][:2] == ["a@example.jp", "佐藤 花子"]
    assert everyone(services) == {}


def _import_slowly(environ: dict[str, str], folder: Path) -> None:
    lines = [member(f"m{n}@example.jp") for n in range(3_000)]
    services = make(load(environ, folder))
    with services.db.write() as session:
        import_into(session, services.config, "members", csv_of(MEMBERS, *lines), now=NOW)
        os.kill(os.getpid(), signal.SIGKILL)  # all is written, nothing committed


@pytest.mark.slow
def test_an_import_killed_before_its_end_leaves_nothing(
    services: Services, environ: dict[str, str], tmp_path: Path
) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=_import_slowly, args=(environ, tmp_path)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    child.close()
    assert everyone(services) == {}


def test_a_file_is_read_while_another_is_written(services: Services) -> None:
    other = csv_of(MEMBERS, member("a@example.jp"))
    with ThreadPoolExecutor() as pool, services.db.write() as session:
        import_into(session, services.config, "members", other, now=NOW)
        for look in (preview_file, import_file):
            found = pool.submit(look, services, "members", b"", now=NOW)
            assert isinstance(found.exception(timeout=10), ImportRefused)


# --- tasks -------------------------------------------------------------------------------------------


def task_rows(services: Services) -> dict[str, Task]:
    with services.db.read() as session:
        return {one.ref: one for one in session.scalars(select(Task))}


def test_a_new_task_belongs_to_its_member_since_its_start(services: Services, team: People) -> None:
    result = bring(
        services,
        "tasks",
        f"T-1,検索,{team.suzuki.email},open,2026-11-02,2026-10-01,",
        "T-2,資料,,done,2026-11-02,,weekly",
    )
    assert [(one.line, one.column) for one in result.warnings] == [(2, "due_on")]
    tasks = task_rows(services)
    assert (tasks["T-1"].assignee_id, tasks["T-1"].assigned_on) == (team.suzuki.id, None)
    assert (tasks["T-2"].status, tasks["T-2"].report_every) == ("done", "weekly")


def test_a_task_came_here_today_unless_the_file_says_since_when_it_is_its_members(
    services: Services, team: People
) -> None:
    lines = "ref,title,assignee_email,start_on,assigned_on\n"
    lines += "N-1,新しい,suzuki.ichiro@example.jp,2026-10-01,\n"
    lines += "N-2,前から,suzuki.ichiro@example.jp,2026-10-01,2026-11-02\n"
    import_file(services, "tasks", lines.encode(), now=NOW)
    with services.db.read() as session:
        came = select(Task.assigned_on, Task.added_on).where(Task.ref.in_(["N-1", "N-2"]))
        assert [tuple(one) for one in session.execute(came.order_by(Task.ref))] == [
            (None, TODAY),
            (date(2026, 11, 2), date(2026, 11, 2)),
        ]


# Of each column that may be changed: what stands there, and what a second file has.
CHANGED = {
    "tasks": {
        "ref": ("N-1", "N-1"), "title": ("x", "y"), "status": ("open", "done"),
        "assignee_email": ("suzuki.ichiro@example.jp", "tanaka.misaki@example.jp"),
        "start_on": ("2026-10-01", "2026-10-02"), "due_on": ("", "2026-12-18"),
        "report_every": ("daily", "weekly"), "assigned_on": ("", "2026-11-02"),
    },
    "members": {
        "email": ("n@example.jp", "n@example.jp"), "name": ("x", "y"), "role": ("member", "lead"),
        "team": ("", "営業"), "manager_email": ("", "sato.hanako@example.jp"),
        "locale": ("ja", "en"), "timezone": ("", "Asia/Seoul"), "notify_frequency": ("", "weekly"),
        "notify_at": ("", "08:30"), "weekly_day": ("", "tue"), "active": ("yes", "no"),
        "weekend": ("", "sun"), "holidays": ("", "KR"),
        "quiet_hours_start": ("22:00", "21:00"), "quiet_hours_end": ("07:00", "08:00"),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "column"),
    [
        (what, column)
        for what, columns in CHANGED.items()
        for column, (old, new) in columns.items()
        if old != new
    ],
)
@on_sqlite
def test_a_preview_shows_every_column_that_would_be_written(
    services: Services, team: People, what: str, column: str
) -> None:
    """`assigned_on` was said to change nothing, and changed how long a task is silent."""
    before = {key: old for key, (old, _) in CHANGED[what].items()}
    assert before.keys() == set(HEADERS[what]), "each column of the file is tried"
    for cells in (before, before | {column: CHANGED[what][column][1]}):
        data = f"{','.join(cells)}\n{','.join(cells.values())}\n".encode()
        options: ImportOptions = {"overwrite_settings": True}
        (line,) = preview_file(services, what, data, now=NOW, **options).lines
        import_file(services, what, data, now=NOW, **options)
    assert [one[0] for one in line.changes] == [column]


def test_a_task_that_changes_hands_is_counted_from_today(services: Services, team: People) -> None:
    bring(services, "tasks", f"T-1,検索,{team.suzuki.email},open,2026-11-02,,daily")
    line = f"T-1,検索,{team.tanaka.email.upper()},open,2026-11-02,,daily"
    assert counts(bring(services, "tasks", line)) == (0, 1, 0)
    assert counts(bring(services, "tasks", line)) == (0, 0, 1)
    task = task_rows(services)["T-1"]
    assert (task.assignee_id, task.assigned_on) == (team.tanaka.id, TODAY)


def test_a_task_that_is_done_is_closed_today_and_opened_again(
    services: Services, team: People
) -> None:
    bring(services, "tasks", "T-1,検索,,open,2026-11-02,,")
    bring(services, "tasks", "T-1,検索,,cancelled,2026-11-02,,")
    assert task_rows(services)["T-1"].closed_on == TODAY
    bring(services, "tasks", "T-1,検索,,open,2026-11-02,,")
    assert task_rows(services)["T-1"].closed_on is None


def test_faulty_task_lines_are_all_told(services: Services, team: People) -> None:
    lines = (
        ",検索,,open,2026-11-02,,",
        "T-2,,,open,2026-11-31,,",
        "T-3,検索,nobody@example.jp,opened,11/02,,monthly",
        "T-3,検索,,open,2026-11-02,,",
    )
    assert set(faults(services, "tasks", *lines)) == {
        (2, "ref"),
        (3, "title"),
        (3, "start_on"),
        (4, "assignee_email"),
        (4, "status"),
        (4, "start_on"),
        (4, "report_every"),
        (5, "ref"),
    }
    assert task_rows(services) == {}


# --- reports -----------------------------------------------------------------------------------------


@pytest.fixture
def one_task(services: Services, team: People) -> None:
    bring(services, "tasks", f"T-1,検索,{team.suzuki.email},open,2026-11-02,,daily")


def test_a_report_counts_for_its_date_and_closes_no_task(
    services: Services, team: People, one_task: None
) -> None:
    line = f'T-1,{team.suzuki.email},2026-11-20,100,done,"終わりました。\n確認願います。"'
    assert counts(bring(services, "reports", line)) == (1, 0, 0)
    assert counts(bring(services, "reports", line)) == (0, 0, 1)
    with services.db.read() as session:
        report = session.scalars(select(Report)).one()
    assert (report.counts_for, report.reporter_id) == (date(2026, 11, 20), team.suzuki.id)
    assert report.text == "終わりました。\n確認願います。"
    assert task_rows(services)["T-1"].status == "open"


def test_a_corrected_percent_changes_the_same_report(
    services: Services, team: People, one_task: None
) -> None:
    bring(services, "reports", f"T-1,{team.suzuki.email},2026-11-20,30,on_track,順調です")
    line = f"T-1,{team.suzuki.email},2026-11-20,40,at_risk,順調です"
    assert counts(bring(services, "reports", line)) == (0, 1, 0)
    with services.db.read() as session:
        report = session.scalars(select(Report)).one()
    assert (report.percent, report.status) == (40, "at_risk")


def test_faulty_report_lines_are_all_told(services: Services, team: People, one_task: None) -> None:
    us = team.suzuki.email
    lines = (
        f"T-9,{us},2026-11-20,30,on_track,",
        "T-1,nobody@example.jp,2026-11-20,101,on_track,",
        f"T-1,{us},20.11.2026,５０.5,late,{'x' * 10_001}",
        f"T-1,{us},2026-11-20,30,on_track,同じ",
        f"T-1,{us},2026-11-20,40,on_track,同じ",
    )
    assert set(faults(services, "reports", *lines)) == {
        (2, "task_ref"),
        (3, "reporter_email"),
        (3, "percent"),
        (4, "reported_on"),
        (4, "percent"),
        (4, "status"),
        (4, "text"),
        (6, "text"),
    }


def test_a_report_of_the_future_is_a_warning(
    services: Services, team: People, one_task: None
) -> None:
    result = bring(services, "reports", f"T-1,{team.suzuki.email},2026-11-25,30,on_track,")
    assert [one.column for one in result.warnings] == ["reported_on"]


# --- days off ----------------------------------------------------------------------------------------


def spans(services: Services) -> list[tuple[int | None, date, date | None, str]]:
    with services.db.read() as session:
        rows = session.scalars(select(DaysOff).order_by(DaysOff.first_day))
        return [(one.user_id, one.first_day, one.last_day, one.name) for one in rows]


def test_days_off_that_overlap_become_one(services: Services, team: People) -> None:
    lines = (
        "company,,2026-12-29,2027-01-03,年末年始",
        "company,,2027-01-03,2027-01-04,延長",
        f"member,{team.suzuki.email},2026-12-24,2026-12-25,休暇",
        f"member,{team.suzuki.email},2026-12-26,2026-12-28,旅行",
    )
    bring(services, "days-off", *lines)
    expected = [
        (team.suzuki.id, date(2026, 12, 24), date(2026, 12, 25), "休暇"),
        (team.suzuki.id, date(2026, 12, 26), date(2026, 12, 28), "旅行"),
        (None, date(2026, 12, 29), date(2027, 1, 4), "年末年始"),
    ]
    assert spans(services) == expected
    assert counts(bring(services, "days-off", *lines)) == (0, 0, 4)
    assert spans(services) == expected


def test_a_longer_leave_takes_the_place_of_the_shorter_one(
    services: Services, team: People
) -> None:
    who = team.suzuki.email
    bring(services, "days-off", f"member,{who},2026-12-24,2026-12-25,休暇")
    assert counts(bring(services, "days-off", f"member,{who},2026-12-22,2026-12-24,前半")) == (
        0,
        1,
        0,
    )
    assert spans(services) == [(team.suzuki.id, date(2026, 12, 22), date(2026, 12, 25), "前半")]


def test_a_new_name_for_the_same_days_is_a_change(services: Services) -> None:
    bring(services, "days-off", "company,,2027-08-12,2027-08-16,夏季")
    assert counts(bring(services, "days-off", "company,,2027-08-12,2027-08-16,お盆")) == (0, 1, 0)
    assert spans(services)[0][3] == "お盆"


def working(services: Services) -> list[tuple[int | None, date, date | None, str]]:
    with services.db.read() as session:
        rows = session.scalars(select(ExtraWorkday).order_by(ExtraWorkday.first_day))
        return [(one.user_id, one.first_day, one.last_day, one.name) for one in rows]


def test_extra_workdays_come_in_the_same_file_and_take_no_day_off_away(
    services: Services, team: People
) -> None:
    who = team.suzuki.email
    lines = (
        "company,,2026-12-05,2026-12-05,棚卸し休業",
        "company_workday,,2026-12-12,2026-12-12,土曜出勤日",
        f"member,{who},2026-12-19,2026-12-19,",
        f"member_workday,{who},2026-12-12,2026-12-13,当番",
    )
    assert counts(bring(services, "days-off", *lines)) == (4, 0, 0)
    assert working(services) == [
        (None, date(2026, 12, 12), date(2026, 12, 12), "土曜出勤日"),
        (team.suzuki.id, date(2026, 12, 12), date(2026, 12, 13), "当番"),
    ]
    assert len(spans(services)) == 2
    assert counts(bring(services, "days-off", *lines)) == (0, 0, 4)
    assert len(working(services)) == 2


def test_a_workday_on_a_day_off_is_a_warning_and_its_scope_says_whose_it_is(
    services: Services, team: People
) -> None:
    bring(services, "days-off", "company,,2026-12-29,2027-01-03,年末年始")
    result = bring(services, "days-off", "company_workday,,2026-12-30,2026-12-30,")
    assert [(one.line, one.column) for one in result.warnings] == [(2, "first_day")]
    lines = (
        "company_workday,a@example.jp,2026-12-05,2026-12-05,",
        "member_workday,,2026-12-05,2026-12-05,",
    )
    assert faults(services, "days-off", *lines) == [
        (2, "email"),
        (2, "email"),
        (3, "email"),
    ]


def test_a_file_of_members_may_have_their_weekend_and_holidays(
    services: Services, team: People
) -> None:
    header = ",".join(HEADERS["members"])
    line = 'new@example.jp,新人 太郎,member,,,,,,,,,,yes,"fri,sat",gb-eng'
    import_file(services, "members", f"{header}\n{line}\n".encode(), now=NOW)
    with services.db.read() as session:
        new = session.scalars(select(Member).where(Member.email == "new@example.jp")).one()
        assert (new.holidays, new.weekend) == ("GB-ENG", "fri,sat")
    # A file without these columns leaves them as they are, whatever is overwritten.
    plain = "email,name,notify_at\nnew@example.jp,新人 太郎,08:00\n"
    import_file(services, "members", plain.encode(), now=NOW, overwrite_settings=True)
    with services.db.read() as session:
        new = session.scalars(select(Member).where(Member.email == "new@example.jp")).one()
        assert (new.holidays, new.weekend, new.notify_at) == ("GB-ENG", "fri,sat", time(8))
    wrong = f"{header}\n{line.replace('gb-eng', 'GB-LON')}\n"
    with pytest.raises(ImportRefused) as refused:
        import_file(services, "members", wrong.encode(), now=NOW)
    assert [one.column for one in refused.value.faults] == ["holidays"]


def test_faulty_days_off_are_refused_by_line(services: Services, team: People) -> None:
    lines = (
        "company,,2026-02-30,2026-03-01,",
        "company,,2026-03-02,2026-03-01,",
        "company,a@example.jp,2026-03-02,2026-03-03,",
        "member,,2026-03-02,2026-03-03,",
        "member,nobody@example.jp,2026-03-02,2026-03-03,",
        "office,,2026-03-02,2026-03-03,",
        "company,,2026-05-01,,",
        "company,,,2026-05-01,",
    )
    assert set(faults(services, "days-off", *lines)) == {
        (2, "first_day"),
        (3, "last_day"),
        (4, "email"),
        (5, "email"),
        (6, "email"),
        (7, "scope"),
        (8, "last_day"),
        (9, "first_day"),
    }
    assert spans(services) == []


def test_a_leave_of_years_is_a_warning(services: Services) -> None:
    result = bring(services, "days-off", "company,,2026-12-29,2072-01-03,年末年始")
    assert [one.column for one in result.warnings] == ["last_day"]


# --- the sample team ----------------------------------------------------------------------------------


def test_the_sample_is_as_written_on_its_own_day(services: Services) -> None:
    assert sample.load(services, NOW) == TODAY
    with services.db.read() as session:
        task = session.scalars(select(Task).where(Task.ref == "T-002")).one()
        assert (task.start_on, task.due_on) == (date(2026, 10, 1), date(2026, 11, 20))
        assert session.scalar(select(func.count()).select_from(Member)) == 20
        assert session.scalars(select(func.max(Report.counts_for))).one() < TODAY


def test_the_sample_moves_by_workdays_to_the_next_workday(services: Services) -> None:
    saturday = datetime(2026, 12, 26, 3, tzinfo=UTC)
    assert sample.load(services, saturday) == date(2026, 12, 28)
    with services.db.read() as session:
        # The workday before 2026-11-24 (a Friday, the 20th) is now the Friday before the 28th.
        task = session.scalars(select(Task).where(Task.ref == "T-002")).one()
        assert task.due_on == date(2026, 12, 25)
        leave = session.scalars(select(DaysOff).where(DaysOff.user_id.is_not(None))).all()
        # Three workdays of leave; the company closes on the 29th and works again on January 4th.
        assert (date(2026, 12, 28), date(2027, 1, 5)) in {(o.first_day, o.last_day) for o in leave}
        closed = session.scalars(select(DaysOff).where(DaysOff.user_id.is_(None))).all()
        assert date(2026, 12, 29) in {one.first_day for one in closed}


def test_the_sample_is_loaded_once(services: Services) -> None:
    sample.load(services, NOW)
    assert sample.load(services, datetime(2027, 1, 20, tzinfo=UTC)) == TODAY
    with services.db.read() as session:
        assert session.get_one(Setting, sample.SAMPLE_DAY).value == "2026-11-24"
        assert session.scalar(select(func.count()).select_from(Member)) == 20


def test_the_sample_never_comes_among_real_members(services: Services, team: People) -> None:
    assert sample.load(services, NOW) is None
    assert len(everyone(services)) == 3
