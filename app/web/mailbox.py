"""`/mailbox`: the mails that the local mailbox caught. Only with the local mailbox."""

import re
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request
from markupsafe import Markup, escape

from app.local import mailbox
from app.locale import Both
from app.mime.parts import html_of, text_of
from app.services import Services
from app.web import frame
from app.web.locale import show_when
from app.web.nav import NavEntry

_PER_PAGE = 50
_SHOWN_CHARACTERS = 200_000  # of a text or a source; more would only make the browser slow
_LINK = re.compile(r"https?://[^\s<>\"「」『』()]+[^\s<>\"「」『』().,、。]")
# Links open outside, where the page they lead to works as usual.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_NEW_TAB = '<base target="_blank">'

NAV = NavEntry(7, Both("メールボックス", "Mailbox"), "all")


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
        body = html_of(mailbox.parse(_stored(folder, mail_id)))
        if body is None:
            abort(404)
        return frame.answer(_with_links_in_new_tabs(body), _SANDBOX)

    return blueprint


def _letter(folder: Path, mail_id: str, view: str) -> dict[str, object]:
    """What the page of one mail shows; HTML first where there is any, as a mail program does."""
    stored = _stored(folder, mail_id)
    message = mailbox.parse(stored)
    bodies = {
        "html": html_of(message),
        "text": text_of(message),
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
        "height": frame.height(bodies["html"] or ""),
        "body": _linked(shown) if view == "text" else shown,
        "cut": len(body) > _SHOWN_CHARACTERS,
        "headers": {name: mailbox.header(message, name) for name in ("Subject", "From", "To")},
    }


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
