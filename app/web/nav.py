"""Navigation: the pages in order, and for which role each is shown."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

from flask import Flask, request, url_for

from app.locale import Both
from app.web.access import me


class NavEntry(NamedTuple):
    """A page's entry in the navigation: `NAV` of its module.

    The page's blueprint has the name of the module, and a view `index`.
    """

    place: int  # from the left
    words: Both
    whom: Literal["all", "lead", "admin"]


class Link(NamedTuple):
    """An entry as this page shows it."""

    url: str
    words: Both
    current: bool


def register(app: Flask, entries: Mapping[str, NavEntry]) -> None:
    """Give templates `navigation()`. `entries`: of each blueprint that has one."""
    ordered = sorted(entries.items(), key=lambda one: one[1].place)
    app.context_processor(lambda: {"navigation": partial(_links, ordered)})


def _links(entries: Sequence[tuple[str, NavEntry]]) -> list[Link]:
    """What the signed-in member may open; nothing for others."""
    asking = me()
    if asking is None:
        return []
    return [
        Link(url_for(f"{name}.index"), one.words, request.blueprint == name)
        for name, one in entries
        if one.whom == "all" or asking.is_admin or (one.whom == "lead" and asking.leads)
    ]
