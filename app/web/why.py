"""`/why`: did this member get a mail on that date, and why (not)?"""

import json
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app import clock
from app.locale import Both
from app.members.roster import id_of
from app.people.lookup import NoSuchMember
from app.services import Services
from app.web import request_args
from app.web.access import admin
from app.web.nav import NavEntry
from app.web.outbox_labels import KINDS, MARKS
from app.web.template_helpers import for_templates
from app.why.reminder import Explanation, explain

NAV = NavEntry(4, Both("なぜ?", "Why?"), "admin")


def pages(services: Services) -> Blueprint:
    """The page behind `task-progress why`."""
    blueprint = Blueprint("why", __name__)
    blueprint.context_processor(for_templates)

    @blueprint.get("/why")
    @admin
    def index() -> ResponseReturnValue:
        faults: dict[str, Both] = {}
        email, on = request_args.text("member"), request_args.day("date", faults)
        found: Explanation | None = None
        if email and not faults:
            try:
                found = explain(services, email, on, clock.now())
            except NoSuchMember as error:
                faults["member"] = error.sentence
        facts: dict[str, Any] = found.facts if found else {}
        return render_template(
            "why.html",
            email=email,
            on=request_args.text("date") or facts.get("local_date") or "",
            found=found,
            facts=facts,
            member_id=id_of(services, email) if found else None,
            raw=json.dumps(facts, ensure_ascii=False, indent=2, default=str),
            faults=faults,
            kinds=KINDS,
            marks=MARKS,
        ), 422 if faults else 200

    return blueprint
