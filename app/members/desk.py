"""What one import works with: the transaction, the faults found so far, and the counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.members.settings import Organisation
from app.members.table import ImportRefused, LineFault
from app.models import Audit, Member
from app.parse import shown
from app.words import Both


@dataclass
class Desk:
    """One import in the making. Nothing is written before `stop_on_faults` let it pass."""

    session: Session
    organisation: Organisation
    now: datetime
    who: str
    faults: list[LineFault]
    overwrite_settings: bool = False
    warnings: list[LineFault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unchanged: int = 0
    _added: list[dict[str, Any]] = field(default_factory=list)
    _changed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def today(self) -> date:
        """The local date of `now` for the organisation."""
        return self.now.astimezone(ZoneInfo(self.organisation.timezone)).date()

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

    def stop_on_faults(self) -> None:
        """Raises ImportRefused with all faults, in the order of the file, if there are any."""
        if self.faults:
            raise ImportRefused(sorted(self.faults, key=lambda one: one.line))

    def once(self, seen: dict[Any, int], key: Any, line: int, column: str) -> None:
        """A key that stood on an earlier line already is a fault; `seen` remembers."""
        first = seen.setdefault(key, line)
        if first != line:
            self.fault(
                line,
                column,
                Both(
                    f"{first}行目と重複しています。どちらか1行にしてください。",
                    f"It repeats line {first}. Keep one of the two.",
                ),
            )

    def members(self) -> dict[str, Member]:
        """Everybody, by lower-case address."""
        return {one.email.lower(): one for one in self.session.scalars(select(Member))}

    def known(
        self, members: dict[str, Member], email: str | None, line: int, column: str
    ) -> Member | None:
        """The member with this address; an address nobody has is a fault."""
        if not email:
            return None
        member = members.get(email.lower())
        if member is None:
            self.fault(line, column, no_such_member(email))
        return member

    def add(self, **data: Any) -> None:
        """Counts a line that was new, and notes it for the audit."""
        self._added.append(data)

    def change(self, changed: bool, **data: Any) -> None:
        """Counts a line about something known; notes it for the audit if it changed that."""
        if changed:
            self._changed.append(data)
        else:
            self.unchanged += 1

    def write_audit(self, what: str) -> None:
        """One row per line that was new or changed something."""
        both: Iterable[tuple[str, list[dict[str, Any]]]]
        both = (("add", self._added), ("change", self._changed))
        rows = [
            {"at": self.now, "who": self.who, "what": f"import.{what}.{verb}", "data": data}
            for verb, found in both
            for data in found
        ]
        if rows:
            self.session.execute(insert(Audit), rows)


def differing(row: object, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that `row` does not have yet."""
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def assign(row: object, values: dict[str, Any]) -> None:
    """Gives `row` the values."""
    for name, value in values.items():
        setattr(row, name, value)


def no_such_member(email: str) -> Both:
    """For an address nobody has."""
    return Both(
        f"「{shown(email)}」というメンバーはいません。アドレスを直すか、"
        "先に members を取り込んでください。",
        f'There is no member "{shown(email)}". Mend the address, or import the members first.',
    )


OWN_MANAGER = Both(
    "本人が自分の上司になっています。空にするか、別の人にしてください。",
    "It names the member as their own manager. Leave it empty, or name somebody else.",
)
