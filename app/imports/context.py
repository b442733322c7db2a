"""The context of one import: the transaction, the faults found so far, and the counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.imports.file_rows import ImportRefused
from app.locale import Both
from app.mime.address import address_key
from app.models import Member
from app.people.lookup import no_such_member
from app.people.settings import Organisation
from app.people.table import LineFault, Table
from app.util.dates_and_numbers import written_as


class Numbered(Protocol):
    """A line of the file."""

    @property
    def line(self) -> int:
        """Its number; the header is line 1."""
        ...


L = TypeVar("L", bound=Numbered)


class LineOutcome(NamedTuple):
    """What one line does: it is new, changes cells (column, from, to), or changes nothing.

    Of a new one `changes` are all cells that are written, from nothing.
    """

    line: int
    verdict: Literal["new", "changed", "unchanged"]
    key: str  # what it is about, as a person knows it
    changes: tuple[tuple[str, str, str], ...] = ()


@dataclass
class ImportContext:
    """One import in the making. Nothing is written before `sound` let it pass.

    `preview`: what is good of a faulty file is looked at too; the caller writes nothing.
    """

    session: Session
    organisation: Organisation
    now: datetime
    who: str
    table: Table
    overwrite_settings: bool = False
    preview: bool = False
    outcomes: list[LineOutcome] = field(default_factory=list)
    warnings: list[LineFault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unchanged: int = 0
    _added: list[dict[str, Any]] = field(default_factory=list)
    _changed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def faults(self) -> list[LineFault]:
        """All faults found so far."""
        return self.table.faults

    @property
    def today(self) -> date:
        """The local date of `now` for the organisation."""
        return self.organisation.today(self.now)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Lines that were new, that changed something, that changed nothing."""
        return len(self._added), len(self._changed), self.unchanged

    def fault(self, line: int, column: str, sentence: Both) -> None:
        """Notes what is wrong with a line."""
        self.faults.append(LineFault(line, column, sentence))

    def warn(self, line: int, column: str, sentence: Both) -> None:
        """Notes what is allowed but probably meant otherwise."""
        self.warnings.append(LineFault(line, column, sentence))

    def sound(self, found: Sequence[L]) -> Sequence[L]:
        """The lines to go on with: all, or in a preview those without a fault.

        Raises ImportRefused with all faults, in the order of the file, if there are any.
        """
        if not self.faults:
            return found
        if not self.preview:
            raise ImportRefused(sorted(self.faults, key=lambda one: one.line))
        faulty = {fault.line for fault in self.faults}
        return [line for line in found if line.line not in faulty]

    def once(self, seen: dict[Any, int], key: Any, line: int, column: str) -> None:
        """A key that stood on an earlier line already is a fault; `seen` remembers."""
        first = seen.setdefault(key, line)
        if first != line:
            twice = Both(
                f"{first}行目と重複しています。どちらか1行にしてください。",
                f"It repeats line {first}. Keep one of the two.",
            )
            self.fault(line, column, twice)

    def members(self) -> dict[str, Member]:
        """All members, by the normal form of their address."""
        oldest_last = self.session.scalars(select(Member).order_by(Member.id.desc()))
        return {address_key(one.email): one for one in oldest_last}

    def known(
        self, members: dict[str, Member], email: str | None, line: int, column: str
    ) -> Member | None:
        """The member with this address; an unknown address is a fault."""
        if not email:
            return None
        member = members.get(address_key(email))
        if member is None:
            self.fault(line, column, no_such_member(email))
        return member

    def add(self, line: Numbered, key: str, **data: Any) -> None:
        """Counts a line that was new, and notes it for the audit."""
        self._added.append(data)
        cells = tuple((name, "", cell) for name, cell in self.table.read[line.line].items())
        self.outcomes.append(LineOutcome(line.line, "new", key, cells))

    def change(
        self, line: Numbered, key: str, before: Mapping[str, Any], after: Mapping[str, Any],
        **data: Any,
    ) -> None:  # fmt: skip
        """Counts a line about something known; notes it for the audit if it changed that.

        `before` and `after` hold the changed columns, and nothing where nothing changed.
        """
        if not after:
            self.unchanged += 1
            self.outcomes.append(LineOutcome(line.line, "unchanged", key))
            return
        self._changed.append(data)
        cells = tuple((name, _cell(before[name]), _cell(new)) for name, new in after.items())
        self.outcomes.append(LineOutcome(line.line, "changed", key, cells))

    def write_audit(self, what: str) -> None:
        """One row per line that was new or changed something."""
        both: Iterable[tuple[str, list[dict[str, Any]]]]
        both = (("add", self._added), ("change", self._changed))
        entries = [(f"import.{what}.{verb}", data) for verb, found in both for data in found]
        audit.note_many(self.session, entries, who=self.who, now=self.now)


def _cell(value: object) -> str:
    """A value as the file would have it."""
    return "" if value is None else written_as(value)


def differing(row: object, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that `row` does not have yet."""
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def assign(row: object, values: dict[str, Any]) -> dict[str, Any]:
    """Gives `row` the values; returns those that it had."""
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    return before
