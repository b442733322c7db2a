"""Shared by every page behind a mail's link: the token, and the page for one that is no use.

Mail programs, chats and people put things behind a link that do not belong to it: a full-width
bracket or full stop, a slash, a line break, or the whole query with its question mark encoded. What
is in front of that is the link; a token that is too short has a page that says so.

There is no CSRF token on these pages, and no session: the token in the address is the secret. A
foreign page cannot know it, and can send nothing in the name of a member who does, because no
cookie counts here. What it can do is lead a visitor to a link of its own member; so each page says
in whose name it acts. The token is kept from leaking: `Referrer-Policy: no-referrer` (no page
behind a link names it to another one), nothing is stored by browsers, logs mask it
(app/web/access_log.py).
"""

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING

from flask import Flask, g, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.links import ReportLink
from app.people.lookup import NoSuchMember
from app.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A link's path: its token (base64, in parts with full stops between them), and its page.
_LINK = re.compile(
    r"(?P<link>/(?:r|u|login)/\.?[\w-]++(?:\.[\w-]++)*+(?:/(?:later|off|undo|again)(?!\w))?)"
    r"(?:/*\Z|/*(?P<stuck>[^\w/-].*))",
    re.ASCII | re.DOTALL,
)

Page = Callable[[ReportLink], ResponseReturnValue]


def guarded(services: Services) -> Callable[[Page], Callable[[str], ResponseReturnValue]]:
    """The page gets the link behind the token; an expired one has a page instead. Raises BadToken.

    A link is not used up: a person may come back to correct, and a mail program's scanner comes
    first anyway.
    """

    def around(page: Page) -> Callable[[str], ResponseReturnValue]:
        @wraps(page)
        def shown(token: str) -> ResponseReturnValue:
            link = services.links.read_report(token)
            if link.expired(clock.now()):
                # A form may have been open when its week ended: what was typed is not lost.
                typed = [text for name, text in request.form.items() if name.startswith("text:")]
                return render_template(
                    "report_closed.html", why="expired", token=token, typed=typed
                ), 410
            return page(link)

        return shown

    return around


def register(app: Flask) -> None:
    """Open a mail's link also with something stuck to its end."""
    app.wsgi_app = _WithoutWhatIsStuck(app.wsgi_app)  # type: ignore[method-assign]  # Flask's way


def gone(_: NoSuchMember) -> ResponseReturnValue:
    """The page for the link of a member who was deleted or is not active."""
    g.pop("locale", None)
    return render_template("report_closed.html", why="gone"), 410


class _WithoutWhatIsStuck:
    """Gives the application the link alone.

    No redirect: mail programs that stop mails by one click do not follow one (RFC 8058, 3.1).
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        found = _LINK.fullmatch(environ.get("PATH_INFO", ""))
        if found is not None:
            environ["PATH_INFO"] = found["link"]
            stuck = found["stuck"] or ""
            if stuck.startswith("?") and not environ.get("QUERY_STRING"):
                environ["QUERY_STRING"] = stuck[1:]
        return self._application(environ, start_response)
