"""`/admin/teams`: create, rename and delete teams."""

from collections.abc import Mapping

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.locale import Both
from app.members.teams import add_team, remove_team, rename_team, teams
from app.people.values import ValuesRefused
from app.services import Services
from app.web import form_key, request_args
from app.web.access import admin, myself
from app.web.edited import Edited
from app.web.refusals import status_of

_PER_PAGE = 50
_TEAM = "<int:team_id>"


def add(blueprint: Blueprint, services: Services) -> None:
    """The pages about teams."""

    @blueprint.route("/teams", methods=["GET", "POST"])
    @admin
    def teams() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        name = request_args.form("name")
        try:
            add_team(services, name, myself().email, clock.now(), form_key.sent())
        except ValuesRefused as error:
            return _page(services, {"new": _only(error)}, name), 422
        return redirect(url_for(".teams"), 303)

    @blueprint.post(f"/teams/{_TEAM}")
    @admin
    def team(team_id: int) -> ResponseReturnValue:
        try:
            if request.form.get("action") == "remove":
                remove_team(services, team_id, myself().email, clock.now())
            else:
                edited = Edited.of(("name",), request_args.form)
                for name in edited.typed.values():
                    who, now = myself().email, clock.now()
                    rename_team(services, team_id, name, who, now, edited.was.get("name"))
        except ValuesRefused as error:
            return _page(services, {str(team_id): _only(error)}), status_of(error)
        return redirect(url_for(".teams"), 303)


def _page(services: Services, faults: Mapping[str, Both] | None = None, name: str = "") -> str:
    after = request_args.text("after")
    found = teams(services, after=after, limit=_PER_PAGE + 1)
    more = len(found) > _PER_PAGE
    return render_template(
        "admin/teams.html",
        teams=found[:_PER_PAGE],
        faults=faults or {},
        name=name,
        first=url_for(".teams") if after else None,
        next=url_for(".teams", after=found[_PER_PAGE - 1].name) if more else None,
    )


def _only(error: ValuesRefused) -> Both:
    return error.faults[0][1]
