"""`/admin/members`: all members, one member's page, and a new member."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.locale import Both
from app.members import assign, changes, roster, teams
from app.people import setting_names, values
from app.people.values import ValuesRefused
from app.services import Services
from app.web import form_key, request_args
from app.web.access import admin, myself
from app.web.edited import Again, Edited, fresh

_PER_PAGE = 50
MEMBER = "<int:member_id>"
_PERSON = ("name", "role", "team", "manager")
_FIELDS = (*_PERSON, *values.MEMBER_SETTINGS)


def add(blueprint: Blueprint, services: Services) -> None:
    """The pages about members."""

    @blueprint.get("/members")
    @admin
    def members() -> ResponseReturnValue:
        wanted: dict[str, Any] = {
            "search": request_args.text("search"),
            "team_id": request_args.number("team_id"),
            "state": request_args.choice("state", roster.STATES),
        }
        after = request_args.text("after")
        found = roster.roster(services, limit=_PER_PAGE + 1, after=after, **wanted)
        asked_for = {key: value for key, value in wanted.items() if value}
        last = found[_PER_PAGE - 1].email if len(found) > _PER_PAGE else None
        return render_template(
            "admin/members.html",
            members=found[:_PER_PAGE],
            wanted=wanted,
            teams=teams.teams(services),
            roles=dict(setting_names.CHOICES["role"]),
            first=url_for(".members", **asked_for) if after else None,
            next=url_for(".members", **asked_for, after=last) if last else None,
        )

    @blueprint.route("/members/new", methods=["GET", "POST"])
    @admin
    def new_member() -> ResponseReturnValue:
        if request.method == "GET":
            return _new(services, {})
        typed = {key: request_args.form(key) for key in ("email", *_PERSON)}
        try:
            who, now = myself().email, clock.now()
            member_id = changes.add_member(services, typed, who, now, form_key.sent())
        except ValuesRefused as error:
            return _new(services, typed, dict(error.faults)), 422
        return redirect(url_for(".member", member_id=member_id, done="added"), 303)

    @blueprint.route(f"/members/{MEMBER}", methods=["GET", "POST"])
    @admin
    def member(member_id: int) -> ResponseReturnValue:
        if request.method == "GET":
            return member_page(services, member_id)
        edited = Edited.of((*_FIELDS, "active", "suppressed"), request_args.form)
        try:
            email = roster.address_of(services, member_id)
            changes.set_member(
                services, email, edited.typed, myself().email, clock.now(), edited.was
            )
        except ValuesRefused as error:
            return _refused(services, member_id, edited, error)
        return redirect(url_for(".member", member_id=member_id, done="saved"), 303)


def _refused(
    services: Services, member_id: int, edited: Edited, error: ValuesRefused
) -> ResponseReturnValue:
    stored = _stored(changes.show_member(services, roster.address_of(services, member_id)))
    again = edited.again(stored, error)
    return member_page(services, member_id, again, again.faults), again.status


def _stored(found: Mapping[str, Any]) -> dict[str, str]:
    own = {key: value or "" for key, value in found["own"].items()}
    return {key: found[key] or "" for key in _PERSON} | own


def member_page(
    services: Services,
    member_id: int,
    form: Again | None = None,
    faults: Mapping[str, Both] | None = None,
    task: Mapping[str, str] | None = None,
) -> str:
    """The page of one member, with what was typed and what is wrong with it."""
    found = changes.show_member(services, roster.address_of(services, member_id))
    form = form or fresh(_stored(found))
    return render_template(
        "admin/member.html",
        member_id=member_id,
        member=found,
        typed=form.typed,
        was=form.was,
        fields=_FIELDS,
        settings=[key for key in values.MEMBER_SETTINGS],
        faults=faults or {},
        tasks=assign.tasks_of(services, member_id),
        task=dict.fromkeys(("ref", "title", "start_on", "due_on", "report_every"), "")
        | dict(task or {}),
        done=request_args.choice("done", ("added", "saved", "task", "passed")),
        teams=teams.teams(services),
        words=setting_names,
    )


def _new(
    services: Services, typed: Mapping[str, str], faults: Mapping[str, Both] | None = None
) -> str:
    return render_template(
        "admin/member_new.html",
        typed=dict.fromkeys(("email", *_PERSON), "") | dict(typed),
        faults=faults or {},
        teams=teams.teams(services),
        words=setting_names,
    )
