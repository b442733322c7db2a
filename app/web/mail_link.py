"""What every page behind a mail's link shares: the token, and what it says when it is no use.

There is no CSRF token on these pages, and no session: the token in the address is the secret. A
foreign page cannot know it, and can send nothing in the name of somebody who does, because no
cookie counts here. What it can do is lead somebody to a link of its own member; so each page says
in whose name it acts. The token is kept from leaking: `Referrer-Policy: no-referrer` (no page
behind a link names it to another one), nothing is stored by browsers, logs mask it
(app/web/access_log.py).
"""

from collections.abc import Callable
from functools import wraps

from flask import abort, g, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.auth import BadToken, ReportLink
from app.members.settings import NoSuchMember
from app.services import Services

Page = Callable[[ReportLink], ResponseReturnValue]


def guarded(services: Services) -> Callable[[Page], Callable[[str], ResponseReturnValue]]:
    """The page gets the link behind the token; a bad, expired or orphaned one has a page instead.

    A link is not used up: a person may come back to correct, and a mail program's scanner comes
    first anyway.
    """

    def around(page: Page) -> Callable[[str], ResponseReturnValue]:
        @wraps(page)
        def shown(token: str) -> ResponseReturnValue:
            try:
                link = services.links.read_report(token)
            except BadToken:
                abort(404)
            if link.expired(clock.now()):
                # A form may have been open when its week ended: what was typed is not lost.
                typed = [text for name, text in request.form.items() if name.startswith("text:")]
                return render_template(
                    "report_closed.html", why="expired", token=token, typed=typed
                ), 410
            try:
                return page(link)
            except NoSuchMember:
                g.pop("locale", None)
                return render_template("report_closed.html", why="gone"), 410

        return shown

    return around
