"""`/admin`: status, members, teams, defaults, days off, imports, and the audit."""

from flask import Blueprint

from app.locale import Both
from app.services import Services
from app.web.admin import audit, days_off, imports, members, overview, settings, teams
from app.web.nav import NavEntry
from app.web.template_helpers import for_templates

NAV = NavEntry(5, Both("管理", "Admin"), "admin")


def pages(services: Services) -> Blueprint:
    """The pages of admins."""
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    blueprint.context_processor(for_templates)
    for part in (overview, members, teams, settings, days_off, imports, audit):
        part.add(blueprint, services)
    return blueprint
