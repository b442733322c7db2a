"""Files as spreadsheets save them, through the command and the page; templates; what is refused."""

import io
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.db import Database
from app.imports.file_rows import ImportRefused
from app.imports.file_table import read_table
from app.imports.files import ImportResult, import_file
from app.imports.templates import FORMS, template
from app.members import assign, changes
from app.models import Member, Report, Role, Task
from app.people import file_records
from app.people.columns import FILES, HEADERS
from app.people.values import ValuesRefused
from app.refused import UnusableValue
from app.services import Services
from app.util import dates_and_numbers
from tests import spreadsheets
from tests.browser import OURS
from tests.conftest import NOW, TODAY, People
from tests.databases import on_sqlite
from tests.spreadsheets import Cell, Number, xlsx
from tests.terminal import Terminal
from tests.test_spreadsheets import WRITERS
from tools import columns_page

pytestmark = pytest.mark.pages

HEADER = ("メールアドレス", "名前", "役割", "リマインダーの時刻", "有効")
LINES = (
    HEADER,
    ("suzuki.ichiro@example.jp", "鈴木 一郎", "リーダー", "9:00", "はい"),
    ("new@example.jp", "髙橋 ①", "管理者", "9時", "TRUE"),
)


def upload(browser: FlaskClient, data: bytes, what: str = "members", **form: str) -> TestResponse:
    fields = {"what": what, "file": (io.BytesIO(data), "名簿.xlsx"), **form}
    return browser.post(
        "/admin/import", data=fields, headers=OURS, content_type="multipart/form-data"
    )


def member(db: Database, email: str) -> Member:
    with db.read() as session:
        return session.scalars(select(Member).where(Member.email == email)).one()


def task(db: Database, ref: str) -> Task:
    with db.read() as session:
        return session.scalars(select(Task).where(Task.ref == ref)).one()


def bring(services: Services, what: str, text: str, **options: Any) -> ImportResult:
    return import_file(services, what, text.encode(), now=NOW, **options)


# --- every form, in command and page --------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("writer", WRITERS)
def test_the_command_takes_a_file_of_every_program(
    tp: Terminal, db: Database, team: People, writer: str
) -> None:
    (tp.folder / "名簿").write_bytes(WRITERS[writer](LINES))
    ran = tp.run("import", "members", "名簿")
    assert ran.code == 0, ran.err
    assert "追加 1、変更 1" in ran.out
    assert "管理者になる人1人: new@example.jp" in ran.out
    assert (member(db, "new@example.jp").name, member(db, "new@example.jp").role) == (
        "髙橋 ①",
        Role.ADMIN,
    )
    assert member(db, "suzuki.ichiro@example.jp").role == Role.LEAD


@on_sqlite
@pytest.mark.parametrize("writer", WRITERS)
def test_the_page_takes_a_file_of_every_program_and_says_its_kind(
    admin: FlaskClient, db: Database, writer: str
) -> None:
    path = upload(admin, WRITERS[writer](LINES)).location
    page = admin.get(path).text
    assert read_table(WRITERS[writer](LINES), "members").kind.ja in page
    for cell in ("髙橋 ①", "09:00", "管理者になる人が1人います: new@example.jp"):
        assert cell in page
    assert "done=imported" in admin.post(path, data={"action": "write"}, headers=OURS).location
    assert member(db, "new@example.jp").name == "髙橋 ①"


@on_sqlite
def test_the_preview_shows_what_a_serial_became(admin: FlaskClient, tp: Terminal) -> None:
    lines: list[list[Cell]] = [
        ["番号", "題名", "担当者", "開始日", "期限"],
        ["001", "検索", "", Number(46350), "R8.12.25"],
    ]
    page = admin.get(upload(admin, xlsx(lines), "tasks").location).text
    assert "<ins>2026-11-24</ins> (ファイルでは 46350)" in page
    assert "<ins>2026-12-25</ins> (ファイルでは R8.12.25)" in page
    (tp.folder / "t.xlsx").write_bytes(xlsx(lines))
    ran = tp.run("import", "tasks", "t.xlsx", "--dry-run")
    assert "2行目 start_on: 「46350」を 2026-11-24 と読みました" in ran.out
    assert "Excel ブック" in ran.err


@on_sqlite
def test_unknown_columns_are_passed_over_with_a_word_in_command_and_page(
    admin: FlaskClient, tp: Terminal
) -> None:
    data = "メール,氏名,社員番号\nx@example.jp,新人,12\n".encode()
    (tp.folder / "m.csv").write_bytes(data)
    refused = upload(admin, data)
    assert (refused.status_code, "社員番号" in refused.text) == (422, True)
    path = upload(admin, data, skip_unknown="1").location
    assert "読み飛ばす列: 社員番号" in admin.get(path).text
    assert tp.run("import", "members", "m.csv").code == 1
    ran = tp.run("import", "--skip-unknown", "members", "m.csv", "--dry-run")
    assert (ran.code, "読み飛ばした列: 社員番号" in ran.out) == (0, True)
    assert "done=imported" in admin.post(path, data={"action": "write"}, headers=OURS).location


# --- what a file does not say stays -----------------------------------------------------------------


def test_a_column_that_is_not_there_changes_nothing(
    services: Services, team: People, db: Database
) -> None:
    changes.set_member(services, team.sato.email, {"role": "admin"}, "test", NOW)
    changes.set_member(services, team.suzuki.email, {"active": "no", "team": "開発"}, "test", NOW)
    before = member(db, team.suzuki.email)
    result = bring(
        services,
        "members",
        f"email,name\n{team.sato.email},佐藤\n{team.suzuki.email},鈴木\n",
        overwrite_settings=True,
    )
    assert (result.added, result.changed) == (0, 2)
    after = member(db, team.suzuki.email)
    assert after.name == "鈴木"
    assert (after.team_id, after.active, after.manager_id) == (
        before.team_id,
        False,
        before.manager_id,
    )
    assert member(db, team.sato.email).role == Role.ADMIN


def test_a_task_needs_ref_title_and_assignee(
    services: Services, team: People, db: Database
) -> None:
    text = f"番号,題名,担当者\nT-1,検索,{team.suzuki.email}\n"
    bring(services, "tasks", text)
    assert (task(db, "T-1").start_on, task(db, "T-1").status) == (TODAY, "open")
    bring(services, "tasks", f"ref,title,assignee_email,start_on,due_on,status\n"
          f"T-1,検索,{team.suzuki.email},2026/11/2,2026/12/1,完了\n")  # fmt: skip
    assert bring(services, "tasks", text).unchanged == 1
    found = task(db, "T-1")
    assert (found.start_on, found.due_on, found.status) == (
        date(2026, 11, 2),
        date(2026, 12, 1),
        "done",
    )


def test_one_of_two_quiet_hours_alone_is_left_as_it_is(
    services: Services, team: People, db: Database
) -> None:
    changes.set_member(
        services, team.suzuki.email,
        {"quiet_hours_start": "22:00", "quiet_hours_end": "07:00"}, "test", NOW,
    )  # fmt: skip
    text = f"email,name,quiet_hours_start\n{team.suzuki.email},鈴木 一郎,\n"
    bring(services, "members", text, overwrite_settings=True)
    assert member(db, team.suzuki.email).quiet_hours_start is not None


# --- refs -------------------------------------------------------------------------------------------


def test_refs_are_one_however_wide_they_are_written(
    services: Services, team: People, db: Database
) -> None:
    bring(services, "tasks", "番号,題名,担当者\nT-001,検索,\n")
    assert bring(services, "tasks", "番号,題名,担当者\nＴ－００１,検索,\n").unchanged == 1
    with pytest.raises(ImportRefused) as refused:
        bring(services, "tasks", "番号,題名,担当者\nT-2,検索,\nＴ－２,検索,\n")
    assert [(one.line, one.column) for one in refused.value.faults] == [(3, "ref")]
    report = "task_ref,reporter_email,reported_on,percent,status\n{},{},2026/11/20,80%,順調\n"
    assert bring(services, "reports", report.format("Ｔ－００１", team.suzuki.email)).added == 1
    assert bring(services, "reports", report.format("T-001", team.suzuki.email)).unchanged == 1
    with db.read() as session:
        assert session.scalars(select(Report.percent)).one() == 80
    typed = {"ref": "Ｔ－００１", "title": "別", "start_on": "2026/11/24"}
    with pytest.raises(ValuesRefused) as twice:
        assign.add_task(services, team.suzuki.id, typed, "test", NOW)
    assert [key for key, _ in twice.value.faults] == ["ref"]


def test_a_ref_beside_one_without_its_zeros_is_a_warning(services: Services) -> None:
    bring(services, "tasks", "番号,題名,担当者\n001,検索,\n")
    result = bring(services, "tasks", "番号,題名,担当者\n1,検索,\n2,資料,\n")
    assert [(one.line, one.column) for one in result.warnings] == [(2, "ref")]
    assert "「001」" in result.warnings[0].sentence.ja
    assert bring(services, "tasks", "番号,題名,担当者\nA10,x,\nA1,x,\n").warnings == []


# --- templates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["ja", "en"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", FILES)
def test_a_template_has_every_column_and_an_example_that_is_refused(
    what: str, form: str, locale: str
) -> None:
    table = read_table(template(what, form, locale), what)
    assert table.columns == set(HEADERS[what])
    assert {key: cell for key, cell in table.rows[0].cells.items() if cell} == FILES[what].example(
        locale
    )
    readers: Mapping[str, Callable[..., object]] = {
        "members": lambda table: file_records.members(table, allow_localhost=False),
        "tasks": file_records.tasks,
        "reports": file_records.reports,
        "days-off": file_records.days_off,
    }
    assert readers[what](table) == []
    assert ["見本" in one.sentence.ja for one in table.faults] == [True]


@pytest.mark.parametrize("locale", ["ja", "en"])
@pytest.mark.parametrize("what", FILES)
def test_the_example_of_a_template_is_a_line_that_would_be_taken(what: str, locale: str) -> None:
    header, cells = zip(*FILES[what].example(locale).items(), strict=True)
    first = next(n for n, one in enumerate(header) if one in {"title", "name", "text"})
    changed = [*cells]
    changed[first] += " 2"
    table = read_table(spreadsheets.excel_csv_utf8([header, changed]), what)
    if what == "members":
        file_records.members(table, allow_localhost=False)
    else:
        {"tasks": file_records.tasks, "reports": file_records.reports,
         "days-off": file_records.days_off}[what](table)  # fmt: skip
    assert table.faults == []


@on_sqlite
def test_the_command_writes_a_template_and_replaces_no_file(tp: Terminal, db: Database) -> None:
    ran = tp.run("import", "template", "members")
    assert (ran.code, "members.xlsx を作りました" in ran.out) == (0, True)
    assert (tp.folder / "members.xlsx").read_bytes()[:2] == b"PK"
    assert tp.run("import", "template", "members").code == 1
    assert tp.run("import", "template", "tasks", "t.CSV").code == 0
    first = (tp.folder / "t.CSV").read_bytes().decode("utf-8-sig").splitlines()[0]
    assert first == "番号,題名,担当者,状態,開始日,期限,報告の頻度,担当になった日"
    assert tp.run("import", "template", "tasks", "t.pdf").code == 2
    assert "members" in tp.run("import", "template", "member").err
    refused = tp.run("import", "members", "members.xlsx")
    assert (refused.code, "見本の行" in refused.err) == (1, True)


@on_sqlite
def test_the_page_offers_the_templates(admin: FlaskClient) -> None:
    page = admin.get("/admin/import").text
    for what in FILES:
        for form in FORMS:
            path = f"/admin/import/template/{what}.{form}"
            assert f'href="{path}"' in page
            answer = admin.get(path)
            assert read_table(answer.data, what).columns == set(HEADERS[what])
            assert f'filename="{what}.{form}"' in answer.headers["Content-Disposition"]
    assert admin.get("/admin/import/template/teams.csv").status_code == 404
    assert admin.get("/admin/import/template/tasks.exe").status_code == 404


# --- the page about it ------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_the_page_about_files_has_the_columns_as_they_are(locale: str) -> None:
    page = columns_page.PAGES[locale].read_text(encoding="utf-8")
    assert columns_page.written(page, locale) == page, "run tools/columns_page.py"


def test_what_the_page_about_files_says_is_taken_is_taken() -> None:
    page = columns_page.PAGES["en"].read_text(encoding="utf-8")
    taken = dict(re.findall(r"^\| (date|time) \| ([^|]+)(?:,|;) [^|]*\|", page, re.MULTILINE))
    for kind, read in (
        ("date", dates_and_numbers.read_date),
        ("time", dates_and_numbers.read_time),
    ):
        forms = [
            one.split()[-1] if "Excel" in one else one.strip() for one in taken[kind].split(",")
        ]
        for form in forms:
            if form not in {"date cells", "time cells"}:
                assert read(form), form
    refused = re.search(r"^\| date \|[^|]*\| ([^|]*)\|", page, re.MULTILINE)
    assert refused is not None
    for form in ("11/24", "26/11/24", "24/11/2026", "2026-W48-2"):
        assert form in refused[1]
        with pytest.raises(UnusableValue):
            dates_and_numbers.read_date(form)


# --- twenty bad ones --------------------------------------------------------------------------------

TASKS = "ref,title,assignee_email,start_on,due_on,status,report_every"
REPORTS = "task_ref,reporter_email,reported_on,percent,status,text"
MEMBERS = "email,name,role,notify_at,weekly_day,active"
BAD_LINES = [
    ("tasks", TASKS, "T-1,検索,,11/24,,,", "start_on", "年がありません", "no year"),
    ("tasks", TASKS, "T-1,検索,,2026/11/24,12月25日,,", "due_on", "年がありません", "no year"),
    ("tasks", TASKS, "T-1,検索,,26/11/24,,,", "start_on", "どれが年か", "which part"),
    ("tasks", TASKS, "T-1,検索,,24/11/2026,,,", "start_on", "どれが年か", "which part"),
    ("tasks", TASKS, "T-1,検索,,2026-W48-2,,,", "start_on", "日付として", "not a date"),
    ("tasks", TASKS, "T-1,検索,,2026/2/30,,,", "start_on", "日付として", "not a date"),
    ("tasks", TASKS, "T-1,検索,,2026/11/24 9:00,,,", "start_on", "時刻が付いて", "time of day"),
    ("tasks", TASKS, "T-1,検索,,H40.1.1,,,", "start_on", "元号にない", "not in that era"),
    ("tasks", TASKS, "T-1,検索,,2026/11/24,,保留,", "status", "進行中", "Write one of open"),
    ("tasks", TASKS, "T-1,検索,,2026/11/24,,,毎月", "report_every", "週1回", "daily | weekly"),
    ("tasks", TASKS, "1.23457E+14,検索,,2026/11/24,,,", "ref", "文字列", "Format the cell"),
    ("tasks", TASKS, ",検索,,2026/11/24,,,", "ref", "空です", "empty"),
    ("reports", REPORTS, "T-0,a@example.jp,2026/11/20,0.8,順調,", "percent", "0 から 100", "0 to 100"),
    ("reports", REPORTS, "T-0,a@example.jp,2026/11/20,120%,順調,", "percent", "整数", "whole number"),
    ("reports", REPORTS, "T-0,a@example.jp,2026/11/20,80%,良好,", "status", "順調", "on_track"),
    ("members", MEMBERS, "a@example.jp,花子,,25:00,,", "notify_at", "23:00", "23:00"),
    ("members", MEMBERS, "a@example.jp,花子,,午後12時,,", "notify_at", "時刻として", "not a time"),
    ("members", MEMBERS, "a@example.jp,花子,,9:00,祝,", "weekly_day", "月曜日", "mon"),
    ("members", MEMBERS, "a@example.jp,花子,社長,,,", "role", "管理者", "admin"),
    ("members", MEMBERS, "a@example.jp,花子,,,,たぶん", "active", "はい", "yes"),
    ("days-off", "scope,first_day,last_day", "会社,12/29,2027/1/3", "first_day", "年が", "no year"),
    ("days-off", "scope,first_day,last_day", "会社,2027/1/3,2026/12/29", "last_day", "より前", "before"),
]  # fmt: skip


@on_sqlite
def test_each_bad_cell_is_refused_by_line_column_and_reason_in_both_languages(
    tp: Terminal, admin: FlaskClient, db: Database, services: Services
) -> None:
    for what, header, line, column, ja, en in BAD_LINES:
        data = f"{header}\n{line}\n".encode()
        (tp.folder / "f.csv").write_bytes(data)
        ran = tp.run("import", what, "f.csv")
        assert ran.code == 1, line
        told = [one for one in ran.err.splitlines() if one.startswith(f"  2行目 {column}")]
        assert any(ja in one for one in told), (line, ran.err)
        with pytest.raises(ImportRefused) as refused:
            import_file(services, what, data, now=NOW)
        english = {one.sentence.en for one in refused.value.faults if one.column == column}
        assert any(en in one for one in english), (line, english)
        page = admin.get(upload(admin, data, what).location).text
        assert "1行に直すところがある" in page, line
        assert ja in page, line
    assert len(BAD_LINES) >= 20
