"""Navigation: the pages in order, and for which role each is shown.

A page whose blueprint is not there is left out.
"""

from typing import Literal, NamedTuple

from flask import Flask, current_app, request, url_for

from app.access.sessions import Me
from app.locale import Both
from app.web.access import me


class NavEntry(NamedTuple):
    """One page of the navigation."""

    endpoint: str
    words: Both
    whom: Literal["all", "lead", "admin"]


ENTRIES = (
    NavEntry("home.index", Both("私のタスク", "My tasks"), "all"),
    NavEntry("team.index", Both("チーム", "Team"), "lead"),
    NavEntry("outbox.index", Both("送信箱", "Outbox"), "admin"),
    NavEntry("why.index", Both("なぜ?", "Why?"), "admin"),
    NavEntry("admin.index", Both("管理", "Admin"), "admin"),
    NavEntry("settings.index", Both("設定", "Settings"), "all"),
    NavEntry("mailbox.index", Both("メールボックス", "Mailbox"), "all"),
)


class Link(NamedTuple):
    """An entry as this page shows it."""

    url: str
    words: Both
    current: bool


def register(app: Flask) -> None:
    """Give templates `navigation()`."""
    app.context_processor(lambda: {"navigation": links})


def links() -> list[Link]:
    """What the signed-in member may open; nothing for others."""
    asking = me()
    if asking is None:
        return []
    return [
        Link(url_for(one.endpoint), one.words, request.blueprint == one.endpoint.split(".")[0])
        for one in ENTRIES
        if one.endpoint in current_app.view_functions and _may(asking, one.whom)
    ]


def _may(asking: Me, whom: str) -> bool:
    return whom == "all" or asking.is_admin or (whom == "lead" and asking.leads)
