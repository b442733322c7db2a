"""Helpers for the operator's templates: dates, names of settings, options to choose from."""

from datetime import date

from app.compose import show_date
from app.people import setting_names
from app.web.locale import current, t
from app.web.outbox_labels import MARKS

Options = list[tuple[str, str]]


def for_templates() -> dict[str, object]:
    """What a blueprint of the operator's gives its templates."""
    return {
        "day": show_day,
        "pick": lambda pair: t(pair["ja"], pair["en"]),
        "options": options,
        "states": lambda: [(str(state), word.to(current())) for state, (_, word) in MARKS.items()],
        "team_options": lambda teams: [(str(one.id), one.name) for one in teams],
        "team_names": lambda teams: [(one.name, one.name) for one in teams],
        "kind_options": lambda kinds: [(kind, name.to(current())) for kind, name in kinds.items()],
        "column_name": lambda column: setting_names.name_of(column).to(current()),
    }


def show_day(iso: str) -> str:
    """A date as it is stored, in the page's language."""
    return show_date(date.fromisoformat(iso), current())


def options(key: str) -> Options:
    """The values of a setting; none where it is typed."""
    return [(value, both.to(current())) for value, both in setting_names.CHOICES.get(key, ())]
