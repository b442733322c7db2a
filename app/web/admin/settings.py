"""`/admin/settings`: the organisation's defaults, whatever the table of settings holds."""

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.members import defaults, words
from app.members.values import ValuesRefused
from app.services import Services
from app.status import who_words
from app.web import asked
from app.web.access import admin, myself
from app.web.locale import show_when
from app.words import Both


def add(blueprint: Blueprint, services: Services) -> None:
    """The page of the defaults."""

    @blueprint.route("/settings", methods=["GET", "POST"])
    @admin
    def settings() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        held = {one["key"]: one for one in defaults.show_settings(services)}
        typed = {key: asked.form(key) for key in held if key in request.form}
        # Only what was changed on this form: another admin may have changed the rest meanwhile.
        changed = {k: v for k, v in typed.items() if v != asked.form(f"was.{k}")}
        try:
            done = defaults.set_settings(services, changed, myself().email, clock.now())
        except ValuesRefused as error:
            return _page(services, typed, dict(error.faults)), 422
        return redirect(url_for(".settings", changed=len(done) or None, done="saved"), 303)


def _page(
    services: Services,
    typed: Mapping[str, str] | None = None,
    faults: Mapping[str, Both] | None = None,
) -> str:
    zone = services.config.app_timezone
    return render_template(
        "admin/settings.html",
        settings=defaults.show_settings(services),
        typed=typed or {},
        faults=faults or {},
        words=words,
        saved=asked.choice("done", ("saved",)),
        changed=asked.number("changed"),
        by=who_words,
        when=lambda instant: show_when(datetime.fromisoformat(instant), zone),
    )
