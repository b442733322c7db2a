"""`/admin`: the facts of `status`, and an admin's confirmations: sending, a clock, settings."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock, clock_trust
from app.identity import known_settings
from app.identity.fingerprints import SettingChange
from app.identity.sentences import value_words
from app.monitoring import status, status_lines
from app.services import Services
from app.web import request_args
from app.web.access import admin, myself
from app.web.locale import show_when


def add(blueprint: Blueprint, services: Services) -> None:
    """The first page of the operator."""

    @blueprint.get("")
    @admin
    def index() -> ResponseReturnValue:
        now = clock.now()
        facts, changes = status.status(services, now), _changes(services)
        held, outside = status.held_mails(services)
        return render_template(
            "admin/overview.html",
            facts=facts,
            lines=status_lines.lines(facts),
            done=request_args.choice(
                "done", ("paused", "resumed", "accepted", "confirmed", "another")
            ),
            doubted=[host for host, _ in clock_trust.waiting(services)],
            changes=changes,
            shown=_as_form(changes),
            value_words=value_words,
            held=held,
            outside=outside,
            **{name: request_args.number(name) for name in ("released", "ended", "kept")},
            taken_at=show_when(now, services.config.app_timezone),
        )

    @blueprint.post("/pause")
    @admin
    def pause() -> ResponseReturnValue:
        status.pause(services, who=myself().email, now=clock.now())
        return redirect(url_for(".index", done="paused"), 303)

    @blueprint.post("/clock")
    @admin
    def accept_clock() -> ResponseReturnValue:
        clock_trust.accept(services, who=myself().email, now=clock.now())
        return redirect(url_for(".index", done="accepted"), 303)

    @blueprint.post("/confirm")
    @admin
    def confirm() -> ResponseReturnValue:
        shown = _as_form(_changes(services))
        if not shown or any(request.form.get(name) != value for name, value in shown.items()):
            return redirect(url_for(".index", done="another"), 303)
        known_settings.confirm(services, who=myself().email, now=clock.now())
        return redirect(url_for(".index", done="confirmed"), 303)

    @blueprint.post("/resume")
    @admin
    def resume() -> ResponseReturnValue:
        held, outside = status.held_mails(services)
        released = status.resume(services, who=myself().email, now=clock.now())
        ended = max(0, held - released)
        said = {"released": released or None, "ended": ended or None, "kept": outside or None}
        values: dict[str, Any] = {"done": "resumed", **said}
        return redirect(url_for(".index", **values), 303)


def _changes(services: Services) -> list[SettingChange]:
    """What an admin may confirm here; with another SECRET_KEY nothing, as that ends all links."""
    verdict = known_settings.compare_with_database(services)
    return [] if verdict.foreign_key else verdict.changes


def _as_form(changes: list[SettingChange]) -> dict[str, str]:
    """The changes as fields: a confirmation is about what was read, on whichever machine."""
    fields = {one.setting: one.here or "" for one in changes}
    return fields | {f"was.{one.setting}": one.known or "" for one in changes}
