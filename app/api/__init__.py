"""The door for programs: /api/v1/…, its document and the page that shows it, and /mcp for agents.

Applications of their own beside the pages, in the same process: no cookie, no session, no form and
none of what the pages look at before an answer applies to them.
"""

from collections.abc import Callable
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from app.api import door
from app.api.mcp import door as mcp_door
from app.services import Services

PREFIX = "/api"
AGENTS = "/mcp"

Wsgi = Callable[..., Any]


def beside(pages: Wsgi, services: Services) -> Wsgi:
    """The pages, with the API under /api and the door for agents at /mcp."""
    doors: dict[str, Wsgi] = {
        PREFIX: door.application(services),
        AGENTS: mcp_door.application(services),
    }
    return DispatcherMiddleware(pages, doors)
