"""`/outbox`: every mail and what became of it; an operator cancels or resends one."""

import re
import shlex
from datetime import datetime
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock, outbox
from app.locale import Both
from app.mime.parts import html_of, text_of
from app.models import ENDS, State
from app.monitoring.status_lines import who_words
from app.outbox import NotPossible, browse, resending
from app.outbox.reasons import REASONS, STATES
from app.outbox.resending import Which
from app.people.lookup import NoSuchMember, check_known
from app.services import Services
from app.util.logs import mask_tokens
from app.web import form_key, frame, request_args
from app.web.access import admin, myself
from app.web.locale import current, show_when
from app.web.nav import NavEntry
from app.web.outbox_labels import EVENTS, KINDS, MARKS
from app.web.refusals import status_of
from app.web.template_helpers import for_templates

_PER_PAGE = 50
_MOST_AT_ONCE = 10_000  # mails that a page sends again; the command takes any number
_ID = "<int:mail_id>"
_SHOWN_CHARACTERS = 100_000
_HAND = re.compile(r"\bcli:[^\s:]+")

NAV = NavEntry(3, Both("送信箱", "Outbox"), "admin")


def pages(services: Services) -> Blueprint:
    """The outbox, for admins."""
    blueprint = Blueprint("outbox", __name__, url_prefix="/outbox")
    blueprint.context_processor(for_templates)
    _add_list(blueprint, services)
    _add_mail(blueprint, services)
    return blueprint


def _add_list(blueprint: Blueprint, services: Services) -> None:
    """The mails that a filter names, and sending all of them again."""

    @blueprint.get("")
    @admin
    def index() -> ResponseReturnValue:
        faults: dict[str, Both] = {}
        state, email = request_args.choice("state", tuple(State)), request_args.text("member")
        on, before = request_args.day("date", faults), request_args.number("before")
        reason = request_args.text("reason")
        mails = browse.newest(
            services,
            limit=_PER_PAGE + 1,
            before=before,
            state=state or None,
            on=on,
            email=email or None,
            reason=reason or None,
        )
        if email and not mails:
            try:
                check_known(services, email)
            except NoSuchMember as error:
                faults["member"] = error.sentence
        date_typed = request_args.text("date")
        filters = {"state": state, "member": email, "date": date_typed, "reason": reason}
        wanted: dict[str, Any] = {name: value for name, value in filters.items() if value}
        more = len(mails) > _PER_PAGE
        return render_template(
            "outbox.html",
            mails=mails[:_PER_PAGE],
            wanted=wanted,
            faults=faults,
            resent=request_args.number("resent"),
            may_resend=bool(mails and on is not None and state in ENDS),
            first=url_for(".index", **wanted) if before else None,
            older=url_for(".index", **wanted, before=mails[_PER_PAGE - 1]["id"]) if more else None,
            **_words(services),
        )

    @blueprint.route("/resend", methods=["GET", "POST"])
    @admin
    def resend_all() -> ResponseReturnValue:
        which = _which()
        if which is None:
            return redirect(url_for(".index"), 303)
        if request.method == "GET":
            return _before_resending(services, which)
        if resending.extent(services, which).mails > _MOST_AT_ONCE:
            return _before_resending(services, which), 409
        made = resending.resend_all(services, which, who=myself().email, now=clock.now())
        day = which.on.isoformat()
        return redirect(url_for(".index", date=day, state=State.READY, resent=len(made)), 303)


def _add_mail(blueprint: Blueprint, services: Services) -> None:
    """One mail: its history and its letter, sending it again, cancelling it."""

    @blueprint.get(f"/{_ID}")
    @admin
    def show(mail_id: int) -> ResponseReturnValue:
        return _page(services, mail_id)

    @blueprint.get(f"/{_ID}/html")
    @admin
    def html(mail_id: int) -> ResponseReturnValue:
        body = html_of(_letter(outbox.show(services, mail_id)))
        if body is None:
            abort(404)
        return frame.answer(mask_tokens(body))

    @blueprint.route(f"/{_ID}/resend", methods=["GET", "POST"])
    @admin
    def resend(mail_id: int) -> ResponseReturnValue:
        if request.method == "GET":
            mail = outbox.show(services, mail_id)
            if not _may_resend(mail):
                return _page(services, mail_id, _no_longer(mail["state"])), 409
            copies = resending.copies_out(services, mail_id)
            return render_template(
                "outbox_resend.html", mail=mail, copies=copies, **_words(services)
            )
        who, now = myself().email, clock.now()
        new = outbox.resend(services, mail_id, who=who, now=now, form_key=form_key.sent())
        return redirect(url_for(".show", mail_id=new, done="resent"), 303)

    @blueprint.errorhandler(NotPossible)
    def refuse(refused: NotPossible) -> ResponseReturnValue:
        return _page(services, refused.mail_id, _no_longer(refused.state)), status_of(refused)

    @blueprint.post(f"/{_ID}/cancel")
    @admin
    def cancel(mail_id: int) -> ResponseReturnValue:
        outbox.cancel(services, mail_id, who=myself().email, now=clock.now())
        return redirect(url_for(".show", mail_id=mail_id, done="cancelled"), 303)


def _which() -> Which | None:
    """The mails that the filter names, or the form of its confirmation; None: not enough."""
    faults: dict[str, Both] = {}
    on, state = request_args.day("date", faults), request_args.choice("state", tuple(ENDS))
    if on is None or not state:
        return None
    reason, email = request_args.text("reason") or None, request_args.text("member") or None
    return Which(on, state, reason, email, request_args.number("up_to"))


def _before_resending(services: Services, which: Which) -> str:
    """The confirmation. Its form names the highest id: sent twice, it acts once."""
    found = resending.extent(services, which)
    filters: dict[str, Any] = {"state": which.state, "date": which.on.isoformat()}
    filters |= {"member": which.email, "reason": which.reason}
    filters = {name: value for name, value in filters.items() if value}
    return render_template(
        "outbox_resend_all.html",
        found=found,
        filters=filters,
        form=url_for(".resend_all", **filters, up_to=max(found.ids, default=0)),
        most=_MOST_AT_ONCE,
        command=shlex.join(_command(which)),
        **_words(services),
    )


def _command(which: Which) -> list[str]:
    """What to type instead."""
    command = ["task-progress", "outbox", "resend", "--date", which.on.isoformat()]
    command += ["--state", which.state]
    for option, value in (("--reason", which.reason), ("--user", which.email)):
        command += [option, value] if value else []
    return command


def _page(services: Services, mail_id: int, fault: Both | None = None) -> str:
    mail = outbox.show(services, mail_id)
    letter = _letter(mail)
    html = html_of(letter)
    return render_template(
        "outbox_mail.html",
        mail=mail,
        fault=fault,
        done=request_args.choice("done", ("resent", "cancelled")),
        text=mask_tokens(text_of(letter) or "")[:_SHOWN_CHARACTERS] if mail["source"] else None,
        height=frame.height(html) if html else 0,
        may_resend=_may_resend(mail),
        may_cancel=mail["state"] == State.READY,
        history=_history(mail),
        **_words(services),
    )


def _may_resend(mail: dict[str, Any]) -> bool:
    """As `outbox.resend` has it."""
    return resending.may_resend(mail["state"], mail["user_id"], mail["kind"])


def _letter(mail: dict[str, Any]) -> EmailMessage:
    return message_from_string(mail["source"] or "", EmailMessage, policy=policy.default)


def _words(services: Services) -> dict[str, Any]:
    zone = services.config.app_timezone
    return {
        "kinds": KINDS,
        "marks": MARKS,
        "reasons": REASONS,
        "when": lambda instant: show_when(datetime.fromisoformat(instant), zone),
    }


def _history(mail: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(when, what happened, details), from the row's first day to its end."""
    first = (mail["created_at"], EVENTS["created"].to(current()), "")
    noted = [(one["at"], _event(one["event"]), _detail(one["detail"])) for one in mail["history"]]
    if mail["accepted_at"] is None:
        return [first, *noted]
    last = (mail["accepted_at"], STATES[State.ACCEPTED].to(current()), mail["response"] or "")
    return [first, *sorted([*noted, last], key=lambda one: datetime.fromisoformat(one[0]))]


def _event(event: str) -> str:
    name, _, other = event.partition(" of ")
    if name in STATES:
        return STATES[name].to(current())
    return (EVENTS[name].to(current()) if name in EVENTS else name) + (other and f" #{other}")


def _detail(detail: str | None) -> str:
    """A reason in words, and whose hand it was as people say it."""
    words = REASONS[detail].to(current()) if detail in REASONS else detail or ""
    return _HAND.sub(lambda found: who_words(found[0]).to(current()), words)


def _no_longer(state: str) -> Both:
    words = STATES[state]
    return Both(
        f"このメールは{words.ja}。そのため、この操作はできません。",
        f"This mail {words.en}: that is not possible now.",
    )
