"""Importing closures, leave and extra workdays. Spans that overlap become one."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import select

from app.imports.context import ImportContext
from app.locale import Both
from app.members import spans
from app.mime.address import address_key
from app.models import DaysOff, ExtraWorkday, Spans
from app.people.file_records import DaysOffRecord
from app.rules.workdays import Span, unite

_LONG = timedelta(days=366)
_Owner = tuple[spans.Table, int | None]  # whose: a member's id, or None for the company


def run(context: ImportContext, found: Sequence[DaysOffRecord]) -> None:
    """Writes the spans; raises ImportRefused before that if anything is wrong."""
    members = context.members()
    seen: dict[tuple[bool, str, date, date], int] = {}
    owned: dict[_Owner, list[DaysOffRecord]] = {}
    faulty = {fault.line for fault in context.faults}
    for line in found:
        context.known(members, line.email, line.line, "email")
        key = (line.workday, address_key(line.email or ""), line.first_day, line.last_day)
        if line.line not in faulty:  # its key would not be the one that was meant
            context.once(seen, key, line.line, "first_day")
        if line.last_day - line.first_day > _LONG:
            context.warn(line.line, "last_day", _VERY_LONG)
    for line in context.sound(found):
        member = members[address_key(line.email)] if line.email else None
        table: spans.Table = ExtraWorkday if line.workday else DaysOff
        owned.setdefault((table, member.id if member else None), []).append(line)
    rows = _rows(context)
    for owner, lines in owned.items():
        _write(context, owner, lines, rows.get(owner, []))
    _warn_of_no_effect(context, owned, rows)
    context.session.flush()


def _rows(context: ImportContext) -> dict[_Owner, list[Spans]]:
    rows: dict[_Owner, list[Spans]] = {}
    table: spans.Table
    for table in (DaysOff, ExtraWorkday):
        for row in context.session.scalars(select(table)):
            rows.setdefault((table, row.user_id), []).append(row)
    return rows


def _write(
    context: ImportContext, owner: _Owner, lines: Sequence[DaysOffRecord], rows: list[Spans]
) -> None:
    """Brings one owner's rows to the union of what was there and what the file says."""
    before = {(row.first_day, row.last_day): row.name for row in rows}
    for line in lines:
        _count(context, line, before)
    said: dict[tuple[date, date | None], str] = {
        (line.first_day, line.last_day): line.name for line in lines
    }
    wanted = unite(Span(*days, name) for days, name in (before | said).items())
    spans.replace(context.session, *owner, rows, wanted)


def _warn_of_no_effect(
    context: ImportContext,
    owned: dict[_Owner, list[DaysOffRecord]],
    rows: dict[_Owner, list[Spans]],
) -> None:
    """A workday on a day off of the same owner: the day off stands."""
    for (table, owner), lines in owned.items():
        if table is DaysOff:
            continue
        off = [Span(row.first_day, row.last_day) for row in rows.get((DaysOff, owner), ())]
        off += [Span(one.first_day, one.last_day) for one in owned.get((DaysOff, owner), ())]
        for line in lines:
            if any(_overlap(span, Span(line.first_day, line.last_day)) for span in off):
                context.warn(line.line, "first_day", _NO_EFFECT)


def _count(
    context: ImportContext, line: DaysOffRecord, before: dict[tuple[date, date | None], str]
) -> None:
    span = Span(line.first_day, line.last_day, line.name)
    exact = before.get((span.first, span.last))
    touched = [days for days in before if _overlap(Span(*days), span)]
    covered = any(
        Span(*days).covers(span.first) and Span(*days).covers(line.last_day) for days in touched
    )
    note = {"email": line.email} | spans.noted(span)
    about = f"{line.email or line.name}, {span_words(span)}"
    if line.workday:
        note["workday"] = "yes"
    if not touched:
        context.add(line, about, **note)
        return
    if covered if exact is None else exact == line.name:
        context.change(line, about, {}, {}, **note)
        return
    was = "; ".join(f"{span_words(Span(*days))} {before[days]}".rstrip() for days in touched)
    now = f"{span_words(span)} {line.name}".rstrip()
    context.change(line, about, {"days": was}, {"days": now}, **note)


def span_words(span: Span) -> str:
    """The days as ISO dates: one, or the first and the last."""
    if span.first == span.last:
        return span.first.isoformat()
    return f"{span.first} – {span.last or ''}".rstrip()


def _overlap(one: Span, other: Span) -> bool:
    return one.covers(other.first) or other.covers(one.first)


_VERY_LONG = Both(
    "1年より長い期間です。年を確かめてください。このまま取り込みます。",
    "It is longer than a year: check the year. It is taken as it is.",
)
_NO_EFFECT = Both(
    "同じ日が休みとして登録されています。休みが優先されます。このまま取り込みます。",
    "There is a day off on the same day, which stands above it. It is taken as it is.",
)
