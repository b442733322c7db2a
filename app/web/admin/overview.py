"""`/admin`: the facts of `status`, and the one word that stops or starts all sending."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app import clock, status, timekeeping
from app.services import Services
from app.web import asked
from app.web.access import admin, myself
from app.web.locale import show_when


def add(blueprint: Blueprint, services: Services) -> None:
    """The first page of the operator."""

    @blueprint.get("")
    @admin
    def index() -> ResponseReturnValue:
        now = clock.now()
        facts = status.status(services, now)
        return render_template(
            "admin/overview.html",
            facts=facts,
            lines=status.lines(facts),
            done=asked.choice("done", ("paused", "resumed", "accepted")),
            doubted=[host for host, _ in timekeeping.waiting(services)],
            released=asked.number("released"),
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
        timekeeping.accept(services, who=myself().email, now=clock.now())
        return redirect(url_for(".index", done="accepted"), 303)

    @blueprint.post("/resume")
    @admin
    def resume() -> ResponseReturnValue:
        released = status.resume(services, who=myself().email, now=clock.now())
        return redirect(url_for(".index", done="resumed", released=released or None), 303)
