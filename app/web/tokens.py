"""`/settings/tokens`: a member's own API tokens; `/admin/tokens`: everybody's."""

import json
from collections.abc import Mapping

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.access import api_tokens
from app.access.api_tokens import Scope
from app.locale import Both
from app.people.values import ValuesRefused
from app.refused import UnusableValue
from app.services import Services
from app.util.dates_and_numbers import read_date
from app.web import request_args
from app.web.access import admin, myself, signed_in
from app.web.locale import show_when, t

SCOPES: Mapping[Scope, Both] = {
    Scope.READ: Both("読む(自分が見られるもの)", "read what I may see"),
    Scope.REPORT: Both("自分のタスクを報告する", "report on my tasks"),
    Scope.SEND: Both("リマインダーを送る", "send reminders"),
    Scope.DATA: Both("タスクと休みを変える", "change tasks and days off"),
}


def pages(services: Services) -> Blueprint:
    """The pages about tokens."""
    blueprint = Blueprint("tokens", __name__)

    @blueprint.route("/settings/tokens", methods=["GET", "POST"])
    @signed_in
    def index() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        try:
            key = _create(services)
        except ValuesRefused as error:
            return _page(services, dict(error.faults)), 422
        return _page(services, key=key)

    @blueprint.post("/settings/tokens/<int:token_id>/revoke")
    @signed_in
    def revoke(token_id: int) -> ResponseReturnValue:
        me = myself()
        api_tokens.revoke(services, token_id, who=me.email, now=clock.now(), owner=me.id)
        return redirect(url_for(".index"), 303)

    @blueprint.get("/admin/tokens")
    @admin
    def everybody() -> ResponseReturnValue:
        return render_template(
            "admin/tokens.html", **_shown(api_tokens.listing(services, clock.now()))
        )

    @blueprint.post("/admin/tokens/<int:token_id>/revoke")
    @admin
    def revoke_any(token_id: int) -> ResponseReturnValue:
        api_tokens.revoke(services, token_id, who=myself().email, now=clock.now())
        return redirect(url_for(".everybody"), 303)

    return blueprint


def _create(services: Services) -> str:
    typed = request_args.form("expires_on")
    try:
        last = read_date(typed) if typed else None
    except UnusableValue as error:
        raise ValuesRefused([("expires_on", error.sentence)]) from None
    return api_tokens.create(
        services,
        myself().email,
        request_args.form("name"),
        request.form.getlist("scopes"),
        who=myself().email,
        now=clock.now(),
        expires_on=last,
        test="test" in request.form,
    )


def _page(
    services: Services, faults: Mapping[str, Both] | None = None, key: str | None = None
) -> str:
    return render_template(
        "tokens.html",
        key=key,
        agents=_agents(services, key),
        faults=faults or {},
        typed=request.form if faults else {},
        chosen=request.form.getlist("scopes") if faults else [Scope.READ.value],
        **_shown(api_tokens.listing(services, clock.now(), myself().id)),
    )


def _agents(services: Services, key: str | None) -> str | None:
    """What goes into the settings of a client of MCP; None where agents are not let in."""
    url = services.config.mcp_url
    if url is None:
        return None
    server = {"url": url, "headers": {"Authorization": f"Bearer {key or 'tpk_…'}"}}
    return json.dumps({"mcpServers": {"task-progress": server}}, ensure_ascii=False)


def _shown(found: list[api_tokens.TokenRow]) -> dict[str, object]:
    return {
        "found": found,
        "scopes_offered": [(scope.value, t(*words)) for scope, words in SCOPES.items()],
        "when": lambda instant: show_when(instant, myself().zone.key),
    }
