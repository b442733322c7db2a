"""`/admin/audit`: who changed what, and when."""

from typing import Any

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from app.audit import WHAT, entries
from app.monitoring.status_lines import who_words
from app.people import setting_names
from app.services import Services
from app.web import request_args
from app.web.access import admin
from app.web.locale import show_when

_PER_PAGE = 50


def add(blueprint: Blueprint, services: Services) -> None:
    """The page of the audit."""

    @blueprint.get("/audit")
    @admin
    def audit() -> ResponseReturnValue:
        wanted = {
            "who": request_args.text("who"),
            "what": request_args.choice("what", tuple(WHAT)),
        }
        before = request_args.number("before")
        found = entries(services, limit=_PER_PAGE + 1, before=before, **wanted)
        asked_for: dict[str, Any] = {name: value for name, value in wanted.items() if value}
        more = len(found) > _PER_PAGE
        return render_template(
            "admin/audit.html",
            entries=found[:_PER_PAGE],
            wanted=wanted,
            what=WHAT,
            by=who_words,
            words=setting_names,
            when=lambda instant: show_when(instant, services.config.app_timezone),
            first=url_for(".audit", **asked_for) if before else None,
            older=url_for(".audit", **asked_for, before=found[_PER_PAGE - 1].id) if more else None,
        )
