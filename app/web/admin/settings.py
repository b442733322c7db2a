"""`/admin/settings`: the organisation's defaults, one field for each setting there is."""

from datetime import datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.members import defaults
from app.monitoring.status_lines import who_words
from app.people import setting_names, values
from app.people.values import ValuesRefused
from app.services import Services
from app.web import request_args
from app.web.access import admin, myself
from app.web.edited import Again, Edited, fresh
from app.web.locale import show_when


def add(blueprint: Blueprint, services: Services) -> None:
    """The page of the defaults."""

    @blueprint.route("/settings", methods=["GET", "POST"])
    @admin
    def settings() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        edited = Edited.of(values.ORGANISATION, request_args.form)
        try:
            done = defaults.set_settings(
                services, edited.typed, myself().email, clock.now(), edited.was
            )
        except ValuesRefused as error:
            again = edited.again(_stored(services), error)
            return _page(services, again), again.status
        return redirect(url_for(".settings", changed=len(done) or None, done="saved"), 303)

    @blueprint.post("/settings/for-everybody")
    @admin
    def for_everybody() -> ResponseReturnValue:
        keys = [key for key in values.ORGANISATION if key == request_args.form("key")]
        defaults.forget_own_values(services, keys, myself().email, clock.now())
        return redirect(url_for(".settings", done="everybody"), 303)


def _stored(services: Services) -> dict[str, str]:
    return {one["key"]: one["value"] or "" for one in defaults.show_settings(services)}


_NAMED = 5  # members that are named for one setting


def _own(services: Services) -> list[tuple[str, int, list[defaults.OwnValue]]]:
    """Each default that members have a value of their own of: how many, and some of them."""
    counts = defaults.count_own_values(services)
    return [
        (key, counts[key], defaults.own_values(services, [key], _NAMED))
        for key in values.ORGANISATION
        if key in counts
    ]


def _page(services: Services, form: Again | None = None) -> str:
    form = form or fresh(_stored(services))
    zone = services.config.app_timezone
    return render_template(
        "admin/settings.html",
        settings=defaults.show_settings(services),
        typed=form.typed,
        was=form.was,
        faults=form.faults,
        words=setting_names,
        done=request_args.choice("done", ("saved", "everybody")),
        own=_own(services),
        changed=request_args.number("changed"),
        by=who_words,
        when=lambda instant: show_when(datetime.fromisoformat(instant), zone),
    )
