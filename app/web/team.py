"""`/team`: the lead's board, one member of it, a nudge, and the board as a CSV."""

from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import board, clock
from app.access.rights import leads_member, leads_team
from app.board import Wanted
from app.compose.text import inert
from app.locale import Both
from app.members.nudge import nudge
from app.members.snooze import NotNow
from app.people.settings import BrokenSettings
from app.services import Services
from app.web import form_key
from app.web.access import lead, lead_of_member, myself
from app.web.locale import current, show_when
from app.web.nav import NavEntry
from app.web.report_form import is_id
from app.web.team_labels import BoardWords

_MEMBER = "/team/<int:member_id>"
_LONGEST_SEARCH = 100

NAV = NavEntry(2, Both("チーム", "Team"), "lead")


def pages(services: Services) -> Blueprint:
    """The pages of leads; admins see all members."""
    blueprint = Blueprint("team", __name__)

    @blueprint.get("/team")
    @lead
    def index() -> str:
        found = board.board(services, myself(), _wanted(services), clock.now())
        filters = (("q", found.wanted.words), ("team", found.wanted.team))
        return render_template(
            "team.html",
            board=found,
            words=BoardWords(current(), found.taken_at.astimezone(myself().zone).date()),
            when=show_when(found.taken_at, myself().zone.key),
            # The filters again, for a link; the page is for the link to say.
            query={key: one for key, one in filters if one},
            nudged=_nudged(services),
        )

    @blueprint.get("/team.csv")
    @lead
    def export() -> Response:
        now = clock.now()
        lines = board.export(services, myself(), _wanted(services), now)
        name = f"team-{now.astimezone(myself().zone).date().isoformat()}.csv"
        return Response(
            lines,
            mimetype="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    @blueprint.get(_MEMBER)
    @lead_of_member
    def member(member_id: int) -> str:
        return _member_page(services, member_id)

    @blueprint.post(f"{_MEMBER}/nudge")
    @lead_of_member
    def ask(member_id: int) -> ResponseReturnValue:
        try:
            nudge(services, member_id, myself().email, clock.now(), form_key.sent())
        except (NotNow, BrokenSettings) as error:
            return _member_page(services, member_id, refused=error.sentence), 422
        if request.form.get("back") != "board":
            return redirect(url_for(".member", member_id=member_id, nudged=member_id), 303)
        # The board as it was, and whom it is to name.
        kept = {key: request.form[key] for key in ("team", "q", "page") if request.form.get(key)}
        query = urlencode(kept | {"nudged": member_id})
        return redirect(f"{url_for('.index')}?{query}", 303)

    return blueprint


def _member_page(services: Services, member_id: int, refused: Both | None = None) -> str:
    found = board.member_page(services, myself(), member_id, _page(), clock.now())
    return render_template(
        "team_member.html",
        one=found,
        words=BoardWords(current(), found.taken_at.astimezone(myself().zone).date()),
        when=show_when(found.taken_at, myself().zone.key),
        nudged=_nudged(services) is not None,
        refused=refused,
    )


def _wanted(services: Services) -> Wanted:
    """The filters of the address; a team that is not theirs is none."""
    team = request.args.get("team", "")
    if team and not (is_id(team) and leads_team(services, myself(), int(team))):
        abort(404)
    words = inert(request.args.get("q", "")[:_LONGEST_SEARCH])
    return Wanted(team=int(team) if team else None, words=words, page=_page())


def _page() -> int:
    page = request.args.get("page", "")
    return max(1, int(page)) if is_id(page) and len(page) < 7 else 1


def _nudged(services: Services) -> str | None:
    """The name of whom the last page nudged."""
    member_id = request.args.get("nudged", "")
    if not (is_id(member_id) and leads_member(services, myself(), int(member_id))):
        return None
    return board.name_of(services, int(member_id))
