"""Forged forms are refused, and honest ones that came too late lose nothing.

A form counts as ours when the browser itself says that it was sent from our own pages
(Sec-Fetch-Site, or Origin where that is missing), or when it carries the session's token. So one
that lay open over night, or over a sign-in in another tab, is simply taken. What is refused comes
back with everything that was typed, and one button sends it again.
"""

from urllib.parse import urlsplit

from flask import Flask, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect

# Their links say who is asking and no cookie is looked at: nobody else can send their forms.
TOKEN_PAGES = frozenset({"report", "stop"})
# Asking for a sign-in mail is everybody's right, and done in nobody's name.
_NOBODYS = frozenset({"login.ask"})
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_SHOWN_FROM = 12  # characters: shorter values are choices, which nobody typed
_protect = CSRFProtect()


def register(app: Flask) -> None:
    """Look at every form before its page does; templates have `csrf_token()`."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # `_check` decides when
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=False,  # Origin says more than Referer, which our pages hold back
    )
    _protect.init_app(app)
    app.before_request(_check)


def is_token_page() -> bool:
    """Whether the page was opened by a mail's link."""
    return request.blueprint in TOKEN_PAGES


def page(*, signed_out: bool = False) -> ResponseReturnValue:
    """What was typed, and a button that sends it again."""
    fields = [(k, v) for k, v in request.form.items(multi=True) if k != "csrf_token"]
    typed = [value for _, value in fields if len(value) >= _SHOWN_FROM]
    shown = render_template(
        "again.html",
        fields=fields,
        typed=typed,
        files=bool(request.files),
        signed_out=signed_out,
        action=request.full_path.rstrip("?"),
    )
    return make_response(shown, 401 if signed_out else 400)


def _check() -> ResponseReturnValue | None:
    harmless = request.method in _CHANGES_NOTHING or request.endpoint in _NOBODYS
    if harmless or request.endpoint is None or is_token_page() or _from_our_pages():
        return None
    try:
        _protect.protect()
    except CSRFError:
        from app.web.access import me  # noqa: PLC0415 - it needs `page` above

        return page(signed_out=me() is None and request.blueprint != "login")
    return None


def _from_our_pages() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    # Browsers say nothing about the site over plain http, but they name the origin.
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host
