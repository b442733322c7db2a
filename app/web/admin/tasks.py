"""A member's tasks on `/admin/members/<id>`: a new one, and passing one on."""

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.members import assign, roster
from app.people.values import ValuesRefused
from app.services import Services
from app.web import form_key, request_args
from app.web.access import admin, myself
from app.web.admin.members import MEMBER, member_page

_FIELDS = ("ref", "title", "start_on", "due_on", "report_every")


def add(blueprint: Blueprint, services: Services) -> None:
    """What the forms of the member's page do."""

    @blueprint.post(f"/members/{MEMBER}/tasks")
    @admin
    def new_task(member_id: int) -> ResponseReturnValue:
        typed = {key: request_args.form(key) for key in _FIELDS}
        roster.address_of(services, member_id)
        try:
            who, now = myself().email, clock.now()
            assign.add_task(services, member_id, typed, who, now, form_key.sent())
        except ValuesRefused as error:
            faults = {f"task.{key}": sentence for key, sentence in error.faults}
            return member_page(services, member_id, faults=faults, task=typed), 422
        return redirect(url_for(".member", member_id=member_id, done="task") + "#tasks", 303)

    @blueprint.post(f"/members/{MEMBER}/pass-on")
    @admin
    def pass_on(member_id: int) -> ResponseReturnValue:
        ref, email = request.form.get("ref", ""), request_args.form("email")
        try:
            assign.pass_on(
                services,
                member_id,
                ref,
                email=email,
                who=myself().email,
                now=clock.now(),
                form_key=form_key.sent(),
            )
        except ValuesRefused as error:
            faults = {f"pass.{ref}": sentence for _, sentence in error.faults}
            return member_page(services, member_id, faults=faults), 422
        return redirect(url_for(".member", member_id=member_id, done="passed") + "#tasks", 303)
