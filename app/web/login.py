"""`/login`: ask for a sign-in mail; `/login/<token>`: its link, one button; signing out."""

import logging
from datetime import datetime

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.access import sessions
from app.links import SIGN_IN_MINUTES
from app.locale import Both
from app.members import sign_in
from app.members.sign_in import LinkGone
from app.mime.address import UnusableMessage, masked, read_mailbox
from app.services import Services
from app.web import access

log = logging.getLogger(__name__)


def pages(services: Services) -> Blueprint:
    """The pages of signing in and out."""
    blueprint = Blueprint("login", __name__)

    @blueprint.route("/login", methods=["GET", "POST"], strict_slashes=False)
    def ask() -> ResponseReturnValue:
        next_path = access.own_path(request.values.get("next", "/"))
        if request.method == "GET":
            if access.me() is not None:
                return redirect(next_path)
            return _form(next_path)
        typed = request.form.get("email", "")
        try:
            email = read_mailbox("email", typed).address
        except UnusableMessage:  # does not reveal whether a member has it
            return _form(next_path, email=typed, fault=_no_address(typed)), 422
        sign_in.refuse_too_many(services, access.network_address())
        # The answer must take as long for an unknown address as for a member's: whether a mail
        # is written is found out beside it.
        current_app.extensions["beside"].submit(_ask, services, email, next_path, clock.now())
        return render_template("login_sent.html", email=email, minutes=SIGN_IN_MINUTES)

    @blueprint.route("/login/<token>", methods=["GET", "POST"])
    def enter(token: str) -> ResponseReturnValue:
        try:
            if request.method == "POST":
                before = access.cookie_key()
                key, next_path = sign_in.use(services, token, clock.now(), before)
                access.sign_in(key)
                return redirect(next_path)
            found = sign_in.opened(services, token, clock.now())
        except LinkGone as error:
            return render_template("login_gone.html", refused=error), 410
        g.locale = "en" if found.locale.startswith("en") else "ja"
        return render_template("login_enter.html", name=found.name)

    @blueprint.post("/logout")
    @access.signed_in
    def out() -> ResponseReturnValue:
        access.sign_out()
        return redirect(url_for("login.ask"))

    @blueprint.post("/logout/everywhere")
    @access.signed_in
    def out_everywhere() -> ResponseReturnValue:
        sessions.end_everywhere(services, access.myself(), clock.now())
        access.forget()
        return redirect(url_for("login.ask"))

    return blueprint


def _ask(services: Services, email: str, next_path: str, now: datetime) -> None:
    try:
        sign_in.ask(services, email, next_path, now)
    except Exception:
        log.exception("sign-in: no mail could be written")


def _form(next_path: str, email: str = "", fault: Both | None = None) -> str:
    return render_template("login.html", next_path=next_path, email=email, fault=fault)


def _no_address(typed: str) -> Both:
    if not typed.strip():
        return Both("メールアドレスを入力してください。", "Please enter your mail address.")
    return Both(
        f"「{masked(typed)}」はメールアドレスとして使えません。"
        "hanako@example.jp のように入力してください。",
        f'"{masked(typed)}" is no mail address. Write it like hanako@example.jp.',
    )
