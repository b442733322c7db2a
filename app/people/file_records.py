"""PURE. The cells of one line of an import -> a checked record, with every fault of the line."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import partial
from typing import TypeVar

from app.compose.text import composed
from app.locale import Both
from app.mime.address import UNPRINTABLE, bare, masked, read_mailbox
from app.people import choices
from app.people.columns import FILES, HEADERS
from app.people.table import LineFault, Table, TableRow
from app.people.weekend_and_region import NONE, WEEKDAYS, parse_region, parse_weekday, parse_weekend
from app.refused import UnusableValue
from app.util import parse
from app.util.dates_and_numbers import (
    is_hidden,
    read_date,
    read_percent,
    read_time,
    read_yes,
    written_as,
)

MAX_REPORT = 10_000  # characters
# How Excel shows a long number, of which the last digits are gone: 1.23457E+14.
_EXPONENT = re.compile(r"[0-9](?:\.[0-9]+)?[Ee]\+[0-9]{1,3}")
_LEADING_ZEROS = re.compile("(?<![0-9])0+(?=[0-9])")

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member; None in a setting means: the organisation's default.

    `columns`: those that the file has. What it does not have is no wish to change anything.
    """

    line: int
    columns: frozenset[str]
    email: str
    name: str
    role: str
    team: str | None
    manager_email: str | None
    active: bool
    settings: dict[str, str | int | time | None]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task; `columns` as of a member. `start_on` is None where the file has no such column."""

    line: int
    columns: frozenset[str]
    ref: str
    title: str
    assignee_email: str | None
    status: str
    start_on: date | None
    due_on: date | None
    report_every: str
    assigned_on: date | None


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
    """Reads one line's cells; notes each fault and goes on, so that all are shown at once.

    What was read is noted too, as it will be written; and beside it what the file has, where a
    person cannot see the one in the other.
    """

    def __init__(self, row: TableRow, table: Table) -> None:
        self.row = row
        self.faults = table.faults
        self.read = table.read.setdefault(row.line, {})
        self.hidden = table.hidden

    def fault(self, column: str, sentence: Both) -> None:
        """Notes what is wrong."""
        self.faults.append(LineFault(self.row.line, column, sentence))

    def has(self, column: str) -> bool:
        """Whether something stands there."""
        return bool(self.row.cells.get(column))

    def given(
        self, column: str, read: Callable[[str], T], empty: U, limit: int = parse.MAX_LINE
    ) -> T | U:
        """The cell as `read` takes it; `empty` where there is nothing, or a fault."""
        cell = self.row.cells.get(column)
        if not cell:
            return empty
        if len(cell) > limit:
            self.fault(column, _too_long(len(cell), limit))
            return empty
        try:
            value = read(cell)
        except UnusableValue as error:
            self.fault(column, error.sentence)
            return empty
        self.read[column] = written_as(value)
        if is_hidden(cell, value):
            self.hidden.append((self.row.line, column, cell))
        return value

    def needed(self, column: str, read: Callable[[str], T], otherwise: T) -> T:
        """As `given`, but an empty cell is a fault; `otherwise` stands in for what is wrong."""
        if not self.has(column):
            self.fault(column, _EMPTY)
        return self.given(column, read, otherwise)

    def text(self, column: str, limit: int, *, lines: bool = False) -> str:
        """The cell's text; control characters and more than `limit` characters are faults."""

        def read(cell: str) -> str:
            seen = cell.replace("\r\n", "").replace("\n", "") if lines else cell
            if UNPRINTABLE.search(seen):
                raise UnusableValue(*_CONTROL)
            return composed(cell)

        return self.given(column, read, "", limit)


def _lines(table: Table, what: str) -> list[Cells]:
    """The lines to read; the template's example left there is a fault."""
    found = []
    for row in table.rows:
        if FILES[what].is_example(row.cells):
            table.faults.append(LineFault(row.line, "", _EXAMPLE))
        else:
            found.append(Cells(row, table))
    return found


def members(table: Table, *, allow_localhost: bool) -> list[MemberRecord]:
    """The members of the file; its faults are added to `table.faults`."""
    return [_member(cells, table.columns, allow_localhost) for cells in _lines(table, "members")]


# What the organisation decides and a member may have otherwise, as files and forms take it.
SETTINGS: dict[str, Callable[[str], str | int | time | None]] = {
    "notify_at": read_time,
    "notify_frequency": choices.FREQUENCY.read,
    "weekly_day": parse_weekday,
    "weekend": parse_weekend,
    "holidays": parse_region,
    "timezone": parse.parse_timezone,
    "locale": choices.LOCALE.read,
    "quiet_hours_start": read_time,
    "quiet_hours_end": read_time,
}
_QUIET_HOURS = {"quiet_hours_start", "quiet_hours_end"}  # a file has both, or neither is changed


def _member(cells: Cells, columns: frozenset[str], allow_localhost: bool) -> MemberRecord:
    settings = {
        column: cells.given(column, SETTINGS[column], None)
        for column in HEADERS["members"]
        if column in columns & SETTINGS.keys()
        and (column not in _QUIET_HOURS or columns >= _QUIET_HOURS)
    }
    if settings.get("weekly_day") is not None:
        cells.read["weekly_day"] = WEEKDAYS[int(cells.read["weekly_day"])]
    cells.read |= {name: NONE for name in ("weekend", "holidays") if settings.get(name) == ""}
    if cells.has("quiet_hours_start") != cells.has("quiet_hours_end"):
        cells.fault("quiet_hours_start", _PAIR)
    if not cells.has("name"):
        cells.fault("name", Both("名前を書いてください。", "Write a name."))
    address = partial(read_address, allow_localhost=allow_localhost)
    return MemberRecord(
        line=cells.row.line,
        columns=columns,
        email=cells.needed("email", address("email"), ""),
        name=cells.text("name", 500),
        role=cells.given("role", choices.ROLE.read, "member"),
        team=cells.text("team", 200) or None,
        manager_email=cells.given("manager_email", address("manager_email"), None),
        active=cells.given("active", read_yes, True),
        settings=settings,
    )


def tasks(table: Table) -> list[TaskRecord]:
    """The tasks of the file; its faults are added to `table.faults`."""
    return [read_task(cells, table.columns) for cells in _lines(table, "tasks")]


def read_task(cells: Cells, columns: frozenset[str]) -> TaskRecord:
    """The task of one line, or of a form with the same names."""
    starts = "start_on" in columns
    return TaskRecord(
        line=cells.row.line,
        columns=columns,
        ref=cells.needed("ref", read_ref, ""),
        title=cells.text("title", 1_000) or _nothing(cells, "title"),
        assignee_email=cells.given("assignee_email", str, None),
        status=cells.given("status", choices.TASK_STATE.read, "open"),
        start_on=cells.needed("start_on", read_date, date.min) if starts else None,
        due_on=cells.given("due_on", read_date, None),
        report_every=cells.given("report_every", choices.REPORT_EVERY.read, "daily"),
        assigned_on=cells.given("assigned_on", read_date, None),
    )


def read_one_task(said: Mapping[str, str], columns: Collection[str]) -> tuple[TaskRecord, Table]:
    """The task that a form or a call says, as a file's only line with these columns would have it."""
    table = Table(frozenset(columns), Both("", ""), "")
    cells = {key: said.get(key, "").strip() for key in HEADERS["tasks"]}
    return read_task(Cells(TableRow(0, cells), table), table.columns), table


def _nothing(cells: Cells, column: str) -> str:
    """Nothing, and the fault where that is because nothing stands there."""
    if not cells.has(column):
        cells.fault(column, _EMPTY)
    return ""


def reports(table: Table) -> list[ReportRecord]:
    """The reports of the file; its faults are added to `table.faults`."""
    return [_report(cells) for cells in _lines(table, "reports")]


def _report(cells: Cells) -> ReportRecord:
    return ReportRecord(
        line=cells.row.line,
        task_ref=cells.needed("task_ref", read_ref, ""),
        reporter_email=cells.needed("reporter_email", str, ""),
        reported_on=cells.needed("reported_on", read_date, date.min),
        percent=cells.needed("percent", read_percent, 0),
        status=cells.needed("status", choices.REPORT_STATE.read, "on_track"),
        text=cells.text("text", MAX_REPORT, lines=True),
    )


def days_off(table: Table) -> list[DaysOffRecord]:
    """Closures, leave and extra workdays of the file; its faults are added to `table.faults`."""
    return [_days_off(cells) for cells in _lines(table, "days-off")]


def _days_off(cells: Cells) -> DaysOffRecord:
    scope = cells.needed("scope", choices.SCOPE.read, "company")
    is_known = "scope" in cells.read
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


def ref_key(ref: str) -> str:
    """The form in which refs are compared: half-width (NFKC), as long as they are refs at all."""
    return unicodedata.normalize("NFKC", ref[:_MAX_REF]).strip()


def ref_without_zeros(ref: str) -> str:
    """As Excel shows a ref that it took for a number: 1 for 001."""
    return _LEADING_ZEROS.sub("", ref_key(ref))


def read_ref(text: str) -> str:
    """A task's ref as it is written, at most 60 characters. Raises UnusableValue."""
    if len(text) > _MAX_REF:
        raise UnusableValue(*_too_long(len(text), _MAX_REF))
    if UNPRINTABLE.search(text):
        raise UnusableValue(*_CONTROL)
    if _EXPONENT.fullmatch(text):
        raise UnusableValue(
            f"「{text}」は、表計算ソフトが長い番号を縮めたものです。セルの書式を「文字列」にして、"
            "番号を書き直してください。",
            f'"{text}" is what a spreadsheet made of a long number. Format the cell as text and '
            "write the ref again.",
        )
    return text


_MAX_REF = 60


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


_EMPTY = Both("空です。値を書いてください。", "It is empty. Write a value.")
_EXAMPLE = Both(
    "雛形の見本の行です。消すか、実際の値に書き換えてください。",
    "It is the example of the template. Remove it, or write real values over it.",
)
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
