"""PURE. The cells of one line of an import -> a checked record, with every fault of the line."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from typing import TypeVar

from app.locale import Both
from app.mime.address import UNPRINTABLE, bare, masked, read_mailbox
from app.people.calendar_values import parse_region, parse_weekday, parse_weekend
from app.people.table import LineFault, Table, TableRow
from app.refused import UnusableValue
from app.rules.due import Frequency
from app.util import parse

HEADERS = {
    "members": (
        "email",
        "name",
        "role",
        "team",
        "manager_email",
        "locale",
        "timezone",
        "notify_frequency",
        "notify_at",
        "weekly_day",
        "quiet_hours_start",
        "quiet_hours_end",
        "active",
    ),
    "tasks": ("ref", "title", "assignee_email", "status", "start_on", "due_on", "report_every"),
    "reports": ("task_ref", "reporter_email", "reported_on", "percent", "status", "text"),
    "days-off": ("scope", "email", "first_day", "last_day", "name"),
}
# Columns that a file may have besides: what it does not have stays as it is.
OPTIONAL = {"members": ("weekend", "holidays")}

ROLES = ("member", "lead", "admin")
# Days off, and extra workdays (土曜出勤日), of the company or of one member.
SCOPES = ("company", "member", "company_workday", "member_workday")
TASK_STATES = ("open", "done", "cancelled")
REPORT_STATES = ("on_track", "at_risk", "blocked", "done")
MAX_REPORT = 10_000  # characters
_CENTURIES = (date(1990, 1, 1), date(2199, 12, 31))  # beyond them it is a slip of the finger

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member; None in a setting means: the organisation's default."""

    line: int
    email: str
    name: str
    role: str
    team: str | None
    manager_email: str | None
    active: bool
    settings: dict[str, str | int | time | None]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task."""

    line: int
    ref: str
    title: str
    assignee_email: str | None
    status: str
    start_on: date
    due_on: date | None
    report_every: str


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """One report."""

    line: int
    task_ref: str
    reporter_email: str
    reported_on: date
    percent: int
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class DaysOffRecord:
    """Days off, or with `workday` extra workdays: the company's, or a member's (email)."""

    line: int
    workday: bool
    email: str | None
    first_day: date
    last_day: date
    name: str


class Cells:
    """Reads one line's cells; notes each fault and goes on, so that all are shown at once."""

    def __init__(self, row: TableRow, faults: list[LineFault]) -> None:
        self.row = row
        self.faults = faults

    def fault(self, column: str, sentence: Both) -> None:
        """Notes what is wrong."""
        self.faults.append(LineFault(self.row.line, column, sentence))

    def given(
        self, column: str, read: Callable[[str], T], empty: U, limit: int = parse.MAX_LINE
    ) -> T | U:
        """The cell as `read` takes it; `empty` where there is nothing, or a fault."""
        cell = self.row.cells[column]
        if not cell:
            return empty
        if len(cell) > limit:
            self.fault(column, _too_long(len(cell), limit))
            return empty
        try:
            return read(cell)
        except UnusableValue as error:
            self.fault(column, error.sentence)
        return empty

    def needed(self, column: str, read: Callable[[str], T], otherwise: T) -> T:
        """As `given`, but an empty cell is a fault; `otherwise` stands in for what is wrong."""
        if not self.row.cells[column]:
            self.fault(column, Both("空です。値を書いてください。", "It is empty. Write a value."))
        return self.given(column, read, otherwise)

    def text(self, column: str, limit: int, *, lines: bool = False) -> str:
        """The cell's text; control characters and more than `limit` characters are faults."""

        def read(cell: str) -> str:
            seen = cell.replace("\r\n", "").replace("\n", "") if lines else cell
            if UNPRINTABLE.search(seen):
                raise UnusableValue(*_CONTROL)
            return cell

        return self.given(column, read, "", limit)


def members(table: Table, *, allow_localhost: bool) -> list[MemberRecord]:
    """The members of the file; its faults are added to `table.faults`."""
    return [_member(Cells(row, table.faults), allow_localhost) for row in table.rows]


def _member(cells: Cells, allow_localhost: bool) -> MemberRecord:
    start = cells.given("quiet_hours_start", parse.parse_time, None)
    end = cells.given("quiet_hours_end", parse.parse_time, None)
    if bool(cells.row.cells["quiet_hours_start"]) != bool(cells.row.cells["quiet_hours_end"]):
        cells.fault("quiet_hours_start", _PAIR)
    settings: dict[str, str | int | time | None] = {
        "locale": cells.given("locale", _one_of("ja", "en"), None),
        "timezone": cells.given("timezone", parse.parse_timezone, None),
        "notify_frequency": cells.given("notify_frequency", _one_of(*map(str, Frequency)), None),
        "notify_at": cells.given("notify_at", parse.parse_time, None),
        "weekly_day": cells.given("weekly_day", parse_weekday, None),
        "quiet_hours_start": start,
        "quiet_hours_end": end,
    }
    for column, read in (("weekend", parse_weekend), ("holidays", parse_region)):
        if column in cells.row.cells:
            settings[column] = cells.given(column, read, None)
    name = cells.text("name", 500)
    if not cells.row.cells["name"]:
        cells.fault("name", Both("名前を書いてください。", "Write a name."))
    return MemberRecord(
        line=cells.row.line,
        email=cells.needed("email", read_address("email", allow_localhost=allow_localhost), ""),
        name=name,
        role=cells.given("role", _one_of(*ROLES), "member"),
        team=cells.text("team", 200) or None,
        manager_email=cells.given(
            "manager_email", read_address("manager_email", allow_localhost=allow_localhost), None
        ),
        active=cells.given("active", _one_of("yes", "no"), "yes") == "yes",
        settings=settings,
    )


def tasks(table: Table) -> list[TaskRecord]:
    """The tasks of the file; its faults are added to `table.faults`."""
    return [_task(Cells(row, table.faults)) for row in table.rows]


def _task(cells: Cells) -> TaskRecord:
    for column in ("ref", "title"):
        if not cells.row.cells[column]:
            cells.fault(column, Both("空です。値を書いてください。", "It is empty. Write a value."))
    return TaskRecord(
        line=cells.row.line,
        ref=cells.text("ref", 60),
        title=cells.text("title", 1_000),
        assignee_email=cells.given("assignee_email", str, None),
        status=cells.given("status", _one_of(*TASK_STATES), "open"),
        start_on=cells.needed("start_on", read_date, date.min),
        due_on=cells.given("due_on", read_date, None),
        report_every=cells.given("report_every", _one_of("daily", "weekly"), "daily"),
    )


def reports(table: Table) -> list[ReportRecord]:
    """The reports of the file; its faults are added to `table.faults`."""
    return [_report(Cells(row, table.faults)) for row in table.rows]


def _report(cells: Cells) -> ReportRecord:
    return ReportRecord(
        line=cells.row.line,
        task_ref=cells.needed("task_ref", str, ""),
        reporter_email=cells.needed("reporter_email", str, ""),
        reported_on=cells.needed("reported_on", read_date, date.min),
        percent=cells.needed("percent", lambda cell: parse.parse_whole(cell, 0, 100), 0),
        status=cells.needed("status", _one_of(*REPORT_STATES), "on_track"),
        text=cells.text("text", MAX_REPORT, lines=True),
    )


def days_off(table: Table) -> list[DaysOffRecord]:
    """Closures, leave and extra workdays of the file; its faults are added to `table.faults`."""
    return [_days_off(Cells(row, table.faults)) for row in table.rows]


def _days_off(cells: Cells) -> DaysOffRecord:
    scope = cells.needed("scope", _one_of(*SCOPES), SCOPES[0])
    is_known = cells.row.cells["scope"] in SCOPES
    email = cells.given("email", str, None)
    if scope.startswith("member") and email is None:
        cells.fault("email", _whose(scope))
    if scope.startswith("company") and is_known and email is not None:
        cells.fault("email", _company_has_none(scope))
    first = cells.needed("first_day", read_date, date.min)
    last = cells.needed("last_day", read_date, date.max)
    if last < first:
        cells.fault("last_day", _out_of_order(first, last))
    name = cells.text("name", 200)
    return DaysOffRecord(cells.row.line, scope.endswith("_workday"), email, first, last, name)


# --- one reader per kind of cell: text -> value, or UnusableValue ------------------------------


def read_date(text: str) -> date:
    """A date written YYYY-MM-DD. Raises UnusableValue."""
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        day = None
    first, last = _CENTURIES
    if day is not None and first <= day <= last:
        return day
    if day is not None:
        raise UnusableValue(
            f"「{text}」は範囲の外です。{first} から {last} までの日を書いてください。",
            f'"{text}" is out of range. Write a day from {first} to {last}.',
        )
    raise UnusableValue(
        f"「{parse.shown(text)}」は日付として読めません。2026-11-24 のように、"
        "実在する日を半角の YYYY-MM-DD で書いてください。",
        f'"{parse.shown(text)}" is not a date. Write a day that exists as YYYY-MM-DD, '
        "like 2026-11-24.",
    )


def _one_of(*choices: str) -> Callable[[str], str]:
    return lambda text: parse.parse_choice(text, choices)


def read_address(column: str, *, allow_localhost: bool) -> Callable[[str], str]:
    """Reads an address as it is stored: without quotes, the domain as on the wire."""

    def read(text: str) -> str:
        mailbox = read_mailbox(column, text, allow_localhost=allow_localhost)
        if mailbox.name or text.endswith(">"):
            raise UnusableValue(
                f"「{masked(text)}」: 名前や < > を付けず、アドレスだけを書いてください。",
                f'"{masked(text)}": write the bare address, without a name or < >.',
            )
        return bare(mailbox.address)

    return read


_CONTROL = Both(
    "改行などの制御文字が含まれています。取り除いてください。",
    "It holds a line break or another control character. Remove it.",
)
_PAIR = Both(
    "quiet_hours_start と quiet_hours_end は、両方書くか両方空にしてください。",
    "Write both quiet_hours_start and quiet_hours_end, or neither.",
)


def _whose(scope: str) -> Both:
    ja, en = ("出勤日", "workday") if scope.endswith("_workday") else ("休み", "leave")
    return Both(
        f"scope が {scope} のときは、だれの{ja}かをメールアドレスで書いてください。",
        f"With scope {scope}, write whose {en} it is.",
    )


def _company_has_none(scope: str) -> Both:
    return Both(
        f"scope が {scope} のときは空にしてください。", f"With scope {scope}, leave it empty."
    )


def _too_long(length: int, limit: int) -> Both:
    return Both(
        f"{length}文字あります。{limit}文字以内にしてください。",
        f"It has {length} characters; at most {limit} fit.",
    )


def _out_of_order(first: date, last: date) -> Both:
    return Both(
        f"{last} は first_day の {first} より前です。順番を直してください。",
        f"{last} is before first_day, {first}. Put them in order.",
    )
