"""`/admin/members`: all members, one member's page with their tasks, and a new member."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.locale import Both
from app.members import assign, changes, roster, teams
from app.members.handover import hand_over
from app.members.rename_address import rename_address
from app.people import setting_names, values
from app.people.values import ValuesRefused
from app.services import Services
from app.web import form_key, request_args
from app.web.access import admin, myself
from app.web.edited import Again, Edited, fresh

_PER_PAGE = 50
_MEMBER = "<int:member_id>"
_TASK = assign.FIELDS
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

    @blueprint.route(f"/members/{_MEMBER}", methods=["GET", "POST"])
    @admin
    def member(member_id: int) -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services, member_id)
        edited = Edited.of((*_FIELDS, "active", "suppressed"), request_args.form)
        email = roster.address_of(services, member_id)
        try:
            changes.set_member(
                services, email, edited.typed, myself().email, clock.now(), edited.was
            )
        except ValuesRefused as error:
            again = edited.again(_stored(changes.own_settings(services, email)), error)
            return _page(services, member_id, again, again.faults), again.status
        return redirect(url_for(".member", member_id=member_id, done="saved"), 303)

    @blueprint.post(f"/members/{_MEMBER}/tasks")
    @admin
    def new_task(member_id: int) -> ResponseReturnValue:
        typed = {key: request_args.form(key) for key in _TASK}
        roster.address_of(services, member_id)
        try:
            who, now = myself().email, clock.now()
            assign.add_task(services, member_id, typed, who, now, form_key.sent())
        except ValuesRefused as error:
            faults = {f"task.{key}": sentence for key, sentence in error.faults}
            return _page(services, member_id, faults=faults, task=typed), 422
        return redirect(url_for(".member", member_id=member_id, done="task") + "#tasks", 303)

    @blueprint.post(f"/members/{_MEMBER}/address")
    @admin
    def rename(member_id: int) -> ResponseReturnValue:
        before = roster.address_of(services, member_id)
        to, was = request_args.form("to"), request_args.form("was")
        done = redirect(url_for(".member", member_id=member_id, done="renamed"), 303)
        if to == before != was:
            return done  # a second click
        try:
            rename_address(services, before, to, myself().email, clock.now())
        except ValuesRefused as error:
            faults = {"address": error.faults[0][1]}
            return _page(services, member_id, faults=faults, to=to), 422
        return done

    @blueprint.post(f"/members/{_MEMBER}/pass-on")
    @admin
    def pass_on(member_id: int) -> ResponseReturnValue:
        ref, email = request.form.get("ref", ""), request_args.form("email")
        who, now = myself().email, clock.now()
        try:
            before = roster.address_of(services, member_id)
            hand_over(services, before, email, who, now, [ref], form_key.sent())
        except ValuesRefused as error:
            faults = {f"pass.{ref}": sentence for _, sentence in error.faults}
            return _page(services, member_id, faults=faults), 422
        return redirect(url_for(".member", member_id=member_id, done="passed") + "#tasks", 303)


def _stored(found: Mapping[str, Any]) -> dict[str, str]:
    own = {key: value or "" for key, value in found["own"].items()}
    return {key: found[key] or "" for key in _PERSON} | own


def _page(
    services: Services,
    member_id: int,
    form: Again | None = None,
    faults: Mapping[str, Both] | None = None,
    *,
    task: Mapping[str, str] | None = None,
    to: str = "",
) -> str:
    """The page of one member, with what was typed and what is wrong with it."""
    found = changes.own_settings(services, roster.address_of(services, member_id))
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
        tasks=assign.list_tasks(services, member_id),
        task=dict.fromkeys(_TASK, "") | dict(task or {}),
        to=to,
        done=request_args.choice("done", ("added", "saved", "task", "passed", "renamed")),
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
