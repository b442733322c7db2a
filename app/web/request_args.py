"""The arguments of an operator's page, from address and form, read with care."""

from datetime import date

from flask import request

from app.compose.text import composed
from app.locale import Both
from app.models import LARGEST_ID
from app.refused import UnusableValue
from app.util.dates_and_numbers import read_date

_LONGEST = 320  # characters of a filter; an address has no more


def text(name: str) -> str:
    """A filter's text, "" where there is none."""
    return composed(request.args.get(name, "").replace("\0", "").strip()[:_LONGEST])


def number(name: str) -> int | None:
    """A filter's whole number; None where there is none, or what stands there is no use."""
    found = request.args.get(name, type=int)
    return found if found is not None and 0 < found <= LARGEST_ID else None


def choice(name: str, known: tuple[str, ...]) -> str:
    """A filter's choice; "" where there is none of `known`."""
    found = request.args.get(name, "")
    return found if found in known else ""


def day(name: str, faults: dict[str, Both]) -> date | None:
    """A filter's date; one that cannot be read is noted in `faults`."""
    typed = text(name)
    if not typed:
        return None
    try:
        return read_date(typed)
    except UnusableValue as error:
        faults[name] = error.sentence
        return None


def form(name: str) -> str:
    """A field of the form, without what no database takes."""
    return request.form.get(name, "").replace("\0", "").strip()
