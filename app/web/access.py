"""Sign-in on pages: the session cookie, and the marks that say who may open a page.

    @blueprint.get("/settings")
    @signed_in
    def settings() -> str: ...

A visitor who is not signed in is sent to /login and comes back; what they had typed stays. A page
above the member's role answers 403; an id of a team or member that is not theirs answers 404, like
one that does not exist.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from itsdangerous import URLSafeTimedSerializer

from app import clock
from app.access import rights, sessions
from app.access.sessions import SESSION_DAYS, Me
from app.config import Config
from app.links import OneTimedSpelling
from app.services import Services
from app.util.urls import is_loopback
from app.web import csrf

log = logging.getLogger(__name__)

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]

KEY = "key"  # of the session's row, in the signed cookie


class _Cookies(SecureCookieSessionInterface):
    """Flask's signed cookie, in one spelling alone."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = OneTimedSpelling
        return serializer


def register(app: Flask, config: Config) -> None:
    """Set the cookie up, and give templates `me()`."""
    app.session_interface = _Cookies()
    https = config.app_base_url.startswith("https://")
    previous = config.secret_key_previous
    app.config.update(
        # __Host-: from this host alone, over https alone, for all of it; no subdomain may set it.
        SESSION_COOKIE_NAME="__Host-session" if https else "session",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS),
        SECRET_KEY_FALLBACKS=[previous.get_secret_value()] if previous else [],
    )
    app.context_processor(lambda: {"me": me})


def services() -> Services:
    """What this application works with."""
    found: Services = current_app.extensions["task_progress"]
    return found


def me() -> Me | None:
    """The signed-in member. None on pages that a mail's link opens: the link says who they are."""
    if "me" not in g:
        g.me = None if csrf.is_token_page() else _by_cookie()
    found: Me | None = g.me
    return found


def forget_visitor() -> None:
    """For the rest of this answer the visitor is not signed in: the database cannot be asked who it is."""
    g.me = None


def myself() -> Me:
    """The signed-in member, on a page that requires one."""
    found = me()
    if found is None:
        abort(401)
    return found


def cookie_key() -> str | None:
    """The key of the session that this browser carries, good or not."""
    key: str | None = session.get(KEY)
    return key


def sign_in(key: str) -> None:
    """This browser carries this session from now on; nothing of an earlier one is left."""
    session.clear()
    session.permanent = True
    session[KEY] = key
    g.pop("me", None)


def sign_out() -> None:
    """This browser carries no session any more."""
    found = me()
    if found is not None:
        sessions.end(services(), found, session[KEY], clock.now())
    forget()


def forget() -> None:
    """Drop the cookie."""
    session.clear()
    g.me = None


def signed_in(view: View[P]) -> View[P]:
    """For all signed-in members."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if me() is not None:
            return view(*args, **kwargs)
        if request.method in ("GET", "HEAD"):
            return redirect(url_for("login.ask", next=own_path(request.full_path.rstrip("?"))))
        return csrf.page()

    return guarded


def _only(view: View[P], allowed: Callable[[], bool], otherwise: int) -> View[P]:
    """For a signed-in member who is `allowed`; others get the status `otherwise`."""

    @signed_in
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not allowed():
            abort(otherwise)
        return view(*args, **kwargs)

    return guarded


def lead(view: View[P]) -> View[P]:
    """For leads and admins."""
    return _only(view, lambda: myself().leads or myself().is_admin, 403)


def admin(view: View[P]) -> View[P]:
    """For admins."""
    return _only(view, lambda: myself().is_admin, 403)


def lead_of_member(view: View[P]) -> View[P]:
    """For the lead of the member `member_id` of the address, and for admins."""

    def leads() -> bool:
        member_id = int((request.view_args or {})["member_id"])
        return rights.leads_member(services(), myself(), member_id)

    return lead(_only(view, leads, 404))


def own_path(path: str) -> str:
    """`path` when it leads to a page of ours, else the first page: no redirect leaves the site."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\", "/login"))
    return path if ours and path.isprintable() and len(path) <= 500 else "/"


def network_address() -> str:
    """Where the request comes from. A proxy on this machine says whom it speaks for."""
    peer = request.remote_addr or ""
    said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    of_this_machine = not peer or is_loopback(peer)  # without an address: a socket file
    return said[:60] if said and of_this_machine else peer


def _by_cookie() -> Me | None:
    key = session.get(KEY)
    if key is None:
        if current_app.config["SESSION_COOKIE_NAME"] in request.cookies and not session:
            log.warning("session: a cookie was refused: altered, expired, or signed by an old key")
            session.modified = True  # an empty session that was changed takes the cookie away
        return None
    found = sessions.who(services(), key, clock.now())
    if found is None:
        log.warning("session: ended elsewhere, expired, or its member is no longer active")
        session.clear()
    return found
