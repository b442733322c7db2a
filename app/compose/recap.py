"""PURE. The recap by counting: at most five lines about the week, used where the AI wrote none."""

from collections.abc import Sequence

from app.compose.text import Locale, shorten, show_date
from app.locale import Both
from app.rules.week import Note, Week

LINES = 5
NAMED = 2  # of each kind; the others are a number
TITLE, NAME = 40, 20


def recap_of(week: Week, locale: Locale) -> list[str]:
    """At most five lines, what is stuck first; each rests on numbers of `week` alone."""
    lines = [
        _blocked(week, locale),
        _silent(week, locale),
        _counted(Both("遅れ気味", "At risk"), week.at_risk, locale),
        _dates(week, locale),
        _counted(Both("先週完了", "Finished last week"), week.finished, locale),
    ]
    return [line for line in lines if line][:LINES]


def _blocked(week: Week, locale: Locale) -> str:
    if not week.blocked:
        return Both("止まっているタスクはありません。", "Nothing is blocked.").to(locale)
    items = [_stuck(one, locale) for one in week.blocked[:NAMED]]
    return _sentence(Both("止まっている", "Blocked"), items, len(week.blocked), locale)


def _stuck(one: Note, locale: Locale) -> str:
    title, name = shorten(one.title, TITLE), shorten(one.name, NAME)
    since = show_date(one.since, locale) if one.since else "?"
    return Both(f"{title}({name}さん、{since}から)", f"{title} ({name}, since {since})").to(locale)


def _silent(week: Week, locale: Locale) -> str:
    silent = week.silent
    items = [
        Both(
            f"{shorten(one.name, NAME)}さん {one.silent}営業日",
            f"{shorten(one.name, NAME)} for {one.silent} workday{'s' * (one.silent > 1)}",
        ).to(locale)
        for one in silent[:NAMED]
    ]
    return _sentence(Both("報告がない", "Silent"), items, len(silent), locale, Both("人", ""))


def _dates(week: Week, locale: Locale) -> str:
    items = []
    if week.overdue:
        items.append(Both(f"期限切れ {len(week.overdue)}件", f"{len(week.overdue)} overdue"))
    if week.due:
        items.append(Both(f"今週が期限 {len(week.due)}件", f"{len(week.due)} due this week"))
    return Both("、".join(one.ja for one in items), ", ".join(one.en for one in items)).to(locale)


def _counted(name: Both, notes: Sequence[Note], locale: Locale) -> str:
    items = [shorten(one.title, TITLE) for one in notes[:NAMED]]
    return _sentence(name, items, len(notes), locale)


def _sentence(
    name: Both, items: Sequence[str], total: int, locale: Locale, unit: Both | None = None
) -> str:
    """「止まっている 3件: A、B、ほか1件」; "" where there is none."""
    if not total:
        return ""
    one = unit or Both("件", "")
    more = total - len(items)
    others = [Both(f"ほか{more}{one.ja}", f"{more} more").to(locale)] if more else []
    return Both(
        f"{name.ja} {total}{one.ja}: {'、'.join([*items, *others])}",
        f"{name.en}, {total}: {', '.join([*items, *others])}",
    ).to(locale)
