"""`/mailbox`: the mails that the local mailbox caught. Only with the local mailbox."""

import re
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request
from markupsafe import Markup, escape

from app.local import mailbox
from app.services import Services
from app.web.locale import show_when

_PER_PAGE = 50
_TALLEST = 20_000  # pixels
_SHOWN_CHARACTERS = 200_000  # of a text or a source; more would only make the browser slow
_LINK = re.compile(r"https?://[^\s<>\"「」『』()]+[^\s<>\"「」『』().,、。]")
# A mail's HTML was written by a program that reads other people's text: it may not run, load,
# submit or navigate anything; links open outside, where the page they lead to works as usual.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_MAIL_POLICY = (
    f"sandbox {_SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_NEW_TAB = '<base target="_blank">'


def pages(services: Services) -> Blueprint:
    """The mailbox's pages, reading DATA_DIR/mailbox."""
    blueprint = Blueprint("mailbox", __name__, url_prefix="/mailbox")
    folder = services.config.data_dir / "mailbox"

    def when(mail_id: str) -> str:
        return show_when(mailbox.caught_at(mail_id), services.config.app_timezone)

    @blueprint.get("")
    def index() -> str:
        older_than = request.args.get("before")
        mails = mailbox.newest(folder, before=older_than, limit=_PER_PAGE + 1)
        more = len(mails) > _PER_PAGE
        return render_template(
            "mailbox.html",
            mails=mails[:_PER_PAGE],
            more=more,
            first_page=older_than is None,
            when=when,
        )

    @blueprint.get("/<mail_id>")
    def show(mail_id: str) -> str:
        view = request.args.get("view", "")
        return render_template("mail.html", when=when, **_letter(folder, mail_id, view))

    @blueprint.get("/<mail_id>/html")
    def html(mail_id: str) -> Response:
        body = mailbox.html_of(mailbox.parse(_stored(folder, mail_id)))
        if body is None:
            abort(404)
        response = Response(_with_links_in_new_tabs(body), mimetype="text/html")
        response.headers["Content-Security-Policy"] = _MAIL_POLICY
        return response

    return blueprint


def _letter(folder: Path, mail_id: str, view: str) -> dict[str, object]:
    """What the page of one mail shows; HTML first where there is any, as a mail program does."""
    stored = _stored(folder, mail_id)
    message = mailbox.parse(stored)
    bodies = {
        "html": mailbox.html_of(message),
        "text": mailbox.text_of(message),
        "source": stored.decode("utf-8", "replace"),
    }
    views = [name for name, body in bodies.items() if body is not None]
    view = view if view in views else views[0]
    body = bodies[view] or ""
    shown = body[:_SHOWN_CHARACTERS]
    return {
        "mail_id": mail_id,
        "view": view,
        "views": views,
        "sandbox": _SANDBOX,
        "height": _height(bodies["html"] or ""),
        "body": _linked(shown) if view == "text" else shown,
        "cut": len(body) > _SHOWN_CHARACTERS,
        "headers": {name: mailbox.header(message, name) for name in ("Subject", "From", "To")},
    }


def _height(html: str) -> int:
    """About how many pixels the mail needs on a phone; it may run no script to tell us.

    Measured on our letters at 320 px, where a task with its button takes some 220 px. A mail that
    needs more scrolls in its frame.
    """
    words = len(re.sub(r"(?s)<style.*?</style>|<[^>]*>|\s+", "", html))
    by_tasks, by_words = 380 + 220 * html.count("<a "), 400 + words
    return min(max(by_tasks, by_words), _TALLEST)


def _stored(folder: Path, mail_id: str) -> bytes:
    stored = mailbox.read(folder, mail_id)
    if stored is None:
        abort(404)
    return stored


def _linked(text: str) -> Markup:
    """Plain text with its web addresses as links; everything else stays text."""
    pieces, end = [], 0
    for found in _LINK.finditer(text):
        link = Markup('<a href="{0}" target="_blank" rel="noopener">{0}</a>')
        pieces += [escape(text[end : found.start()]), link.format(found.group())]
        end = found.end()
    return Markup("").join([*pieces, escape(text[end:])])


def _with_links_in_new_tabs(html: str) -> str:
    """Inside the frame a link would lead nowhere: our pages refuse to be framed."""
    head = re.search(r"<head[^>]*>", html, re.IGNORECASE)
    return html[: head.end()] + _NEW_TAB + html[head.end() :] if head else _NEW_TAB + html
