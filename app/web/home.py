"""`/`: what this is and where to go; for a signed-in member, their tasks."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.compose import show_date
from app.links import ReportLink
from app.locale import Both
from app.members import own_tasks
from app.members.own_tasks import FIELDS
from app.people.values import ValuesRefused
from app.services import Services
from app.web import form_key
from app.web.access import me, myself, signed_in
from app.web.edited import Again, Edited, fresh
from app.web.locale import current, show_when
from app.web.nav import NavEntry
from app.why.reminder import next_reminder

_NEW = {"title": "", "start_on": "", "due_on": "", "report_every": "daily"}

NAV = NavEntry(1, Both("私のタスク", "My tasks"), "all")


def pages(services: Services) -> Blueprint:
    """The first page, and the pages of one task."""
    blueprint = Blueprint("home", __name__)

    @blueprint.get("/")
    def index() -> ResponseReturnValue:
        asking = me()
        if asking is None:
            return render_template("home.html", mailbox=services.config.local_mailbox)
        now = clock.now()
        found = own_tasks.my_tasks(services, asking.id, now)
        at = next_reminder(services, asking.id, now)
        # Reporting has one page, that of the mail's links; its token says whose tasks they are.
        token = services.links.report_token(ReportLink(asking.id, found.today))
        return render_template(
            "my_tasks.html",
            found=found,
            next_mail=show_when(at, found.person.rhythm.zone.key) if at else None,
            report_url=partial(url_for, "report.report", token=token),
            **_words(found.today),
        )

    @blueprint.route("/tasks/new", methods=["GET", "POST"])
    @signed_in
    def new() -> ResponseReturnValue:
        if request.method == "GET":
            return _form(_NEW)
        typed = {name: request.form.get(name, "") for name in FIELDS}
        try:
            own_tasks.add_task(services, myself().id, typed, clock.now(), form_key.sent())
        except ValuesRefused as error:
            return _form(typed, dict(error.faults)), 422
        return redirect(url_for("home.index"), 303)

    @blueprint.route("/tasks/<int:task_id>", methods=["GET", "POST"])
    @signed_in
    def task(task_id: int) -> ResponseReturnValue:
        if request.method == "GET":
            return _one(services, task_id)
        edited, now = Edited.of(FIELDS, request.form.__getitem__), clock.now()
        try:
            if request.form.get("action") == "cancel":
                own_tasks.cancel_task(services, myself().id, task_id, now)
            else:
                own_tasks.edit_task(services, myself().id, task_id, edited.typed, now, edited.was)
        except ValuesRefused as error:
            return _one(services, task_id, partial(edited.again, error=error))
        return redirect(url_for("home.index"), 303)

    return blueprint


def _one(
    services: Services, task_id: int, form_of: Callable[[Mapping[str, str]], Again] = fresh
) -> ResponseReturnValue:
    found = own_tasks.one_task(services, myself().id, task_id, clock.now())
    form = form_of(own_tasks.typed_of(found.task))
    shown = render_template(
        "task.html",
        found=found,
        typed=form.typed,
        was=form.was,
        fields=FIELDS,
        faults=form.faults,
        **_words(found.today),
    )
    return shown, form.status


def _form(typed: Mapping[str, str], faults: Mapping[str, Both] | None = None) -> str:
    return render_template("task_new.html", typed=typed, faults=faults or {})


def _words(today: date) -> dict[str, object]:
    return {
        "today": today,
        "show_date": lambda day: show_date(day, current(), with_year=day.year != today.year),
    }
