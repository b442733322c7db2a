"""Limits on how much a request may hold, checked before anything is done with it.

What a visitor who is not signed in sends costs next to nothing, whatever its length: reading, searching and normalising
text take time that grows with it, in part with its square. A member known by a session or by a
mail's link has room for a text far beyond its limit: it is refused with words, and comes back as it
was typed (app/web/report_form.py).
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from flask import Flask, Request, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.links import BadToken
from app.util.parse import MAX_LINE, shown
from app.web.access import me, services

BODY = 65_536  # bytes from a stranger
KNOWN_BODY = 2_000_000
UPLOAD_BODY = 20_000_000
FIELD = 2 * MAX_LINE  # characters; that of a report's text is checked by its page
FIELDS = 1_000  # a report page has 4 for each of 50 tasks
ADDRESS = 8_000  # characters of path and query; an own path of 500 in `next` may be escaped
HEADER = 8_190  # characters of one header, as gunicorn has it
_LONG = "text:"  # begins the name of each field that holds more than one line
_SHOWN_FROM = 12  # characters: shorter values are choices, which were not typed
_NO_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class MeasuredRequest(Request):
    """A request whose body is read only as far as its sender may send.

    Who that is is asked when a form is first looked at: of a forged one (app/web/csrf.py) nothing
    is, and no session.
    """

    @property  # type: ignore[misc]  # Flask's can be set, too
    def max_content_length(self) -> int:  # type: ignore[override]  # nothing else sets it
        """The bytes of the whole body."""
        return self.room

    @property  # type: ignore[misc]  # Flask's can be set, too
    def max_form_memory_size(self) -> int:  # type: ignore[override]  # nothing else sets it
        """The bytes of one field."""
        return self.room

    @cached_property
    def room(self) -> int:
        """The bytes that this visitor may send to this page."""
        if self.method in _NO_BODY:
            return BODY
        asking = me()
        if asking is not None:
            uploads = asking.is_admin and self.endpoint == "admin.imports"
            return UPLOAD_BODY if uploads else KNOWN_BODY
        return KNOWN_BODY if _has_report_link(self) else BODY


def whole(application: Callable[..., Any]) -> Callable[..., Any]:
    """Takes a body that ended before its Content-Length for what it is: cut on its way, and refused.

    gunicorn says that it ends a body where it ends; so werkzeug would not count the bytes, and half
    a form would be read as a whole one.
    """

    def called(environ: dict[str, Any], *more: Any) -> Any:
        if environ.get("CONTENT_LENGTH"):
            environ.pop("wsgi.input_terminated", None)
        return application(environ, *more)

    return called


def register(app: Flask) -> None:
    """Look at every request before its page does, but after it is known not to be forged."""
    app.request_class = MeasuredRequest
    app.config.update(MAX_FORM_PARTS=FIELDS)
    app.before_request(_check)


def _check() -> ResponseReturnValue | None:
    if len(request.full_path) > ADDRESS:
        abort(414)
    if any(len(value) > HEADER for value in request.headers.values()):
        abort(431)
    if request.method in _NO_BODY:
        return None
    fields = [*request.form.items(multi=True)]
    if len(fields) > FIELDS:
        abort(413)
    too_long = next((one for one in fields if _is_too_long(*one)), None)
    return _page(fields, *too_long) if too_long else None


def _has_report_link(asked: Request) -> bool:
    token = (asked.view_args or {}).get("token", "")
    if asked.blueprint != "report":
        return False
    try:
        services().links.read_report(token)
    except BadToken:
        return False
    return True


def _is_too_long(name: str, value: str) -> bool:
    return len(name) > MAX_LINE or (len(value) > FIELD and not name.startswith(_LONG))


def _page(fields: list[tuple[str, str]], name: str, value: str) -> ResponseReturnValue:
    """Names the field and its limit; what was typed stands there to be copied."""
    shown_page = render_template(
        "too_long.html",
        field=shown(name),
        length=max(len(name), len(value)),
        limit=FIELD if len(value) > FIELD else MAX_LINE,
        typed=[text for key, text in fields if key != "csrf_token" and len(text) >= _SHOWN_FROM],
    )
    return make_response(shown_page, 413)
