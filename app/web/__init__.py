"""The pages: blueprints, their common frame, and the headers every answer carries."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from flask import Flask, Response, current_app, render_template, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import IntegerConverter, Map

from app.models import LARGEST_ID
from app.services import Services
from app.util.logs import mask_tokens
from app.web import access, banner, csrf, form_key, limits, locale, mail_link, nav, origin, refusals

# Pages load nothing but our own style sheet and pictures, and no site may frame them.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def register(app: Flask, services: Services) -> None:
    """Attach every page to `app`. The mailbox only exists where the local mailbox is in use."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.url_map.converters["int"] = RowIdConverter
    mail_link.register(app)
    origin.register(app)
    access.register(app, services.config)
    locale.register(app)
    csrf.register(app)
    form_key.register(app)
    limits.register(app)
    banner.register(app, services)
    pages = _pages(local_mailbox=services.config.local_mailbox)
    for module in pages.values():
        app.register_blueprint(module.pages(services))
    nav.register(app, {name: page.NAV for name, page in pages.items() if hasattr(page, "NAV")})
    app.register_error_handler(HTTPException, _error_page)
    refusals.register(app)
    app.register_error_handler(Exception, _broken_page)
    app.after_request(_headers)


def _pages(*, local_mailbox: bool) -> dict[str, ModuleType]:
    """The modules of this folder that are pages, by the name of their blueprint: they have `pages`.

    A page joins by its module alone; with `NAV` the navigation names it.
    """
    names = (found.name for found in iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {
        name: module
        for name, module in modules.items()
        if hasattr(module, "pages") and (local_mailbox or name != "mailbox")
    }


class RowIdConverter(IntegerConverter):
    """`<int:…>` in an address: the number of a row. What no row can have is no page, so 404."""

    regex = "[0-9]{1,19}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, min=1, max=LARGEST_ID)


def _headers(response: Response) -> Response:
    """A page that needs another policy sets its own first."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # Where the address is the secret, no page it leads to may learn it; an error's page neither.
    secret = mask_tokens(request.path) != request.path
    policy = "no-referrer" if secret else "same-origin"
    response.headers.setdefault("Referrer-Policy", policy)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _error_page(error: HTTPException) -> tuple[str, int, dict[str, str]] | HTTPException:
    """The designed page for 4xx and 5xx; redirects and the like pass as they are."""
    code = error.code or 500
    if code < 400:
        return error
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    headers = {"Allow": ", ".join(allowed)} if allowed else {}
    return render_template("error.html", code=code), code, headers


def _broken_page(error: Exception) -> tuple[str, int]:
    """A fault of ours. Flask's own log line names the path, and with it the token of a link."""
    current_app.logger.error(
        "Exception on %s [%s]", request.url_rule, request.method, exc_info=error
    )
    return render_template("error.html", code=500), 500
