"""`/r/<token>/later`, `/off`, `/again`: what a mail offers when now is not the time to report."""

from datetime import date, datetime

from flask import Blueprint, abort, g, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.compose import show_date
from app.compose.text import inert
from app.links import ReportLink, StopLink
from app.locale import Both
from app.members import self_service
from app.members.self_service import Later
from app.members.snooze import NotNow, Snoozed, snooze_today, snooze_until
from app.models import Kind
from app.refused import UnusableValue
from app.services import Services
from app.util.dates_and_numbers import read_date, read_time
from app.web import form_key
from app.web.locale import current
from app.web.mail_link import guarded

# The longest that a browser's own fields for an hour and a date send, and room to type by hand.
_MAX_FIELD = 40


def add(blueprint: Blueprint, services: Services) -> None:
    """Attach the pages to the blueprint of the mail's page: they share its token."""

    @blueprint.route("/r/<token>/later", methods=["GET", "POST"])
    @guarded(services)
    def later(link: ReportLink) -> ResponseReturnValue:
        now = clock.now()
        wish = self_service.later(services, link.member_id, now)
        if request.method != "POST":
            return _ask(services, wish, _first_choice(wish))
        try:
            done = _snooze(services, wish, now)
        except (NotNow, UnusableValue) as error:
            return _ask(services, wish, request.form.get("until", ""), error.sentence), 422
        return _page(services, "later_done.html", wish, done=done)

    @blueprint.route("/r/<token>/off", methods=["GET", "POST"])
    @guarded(services)
    def off(link: ReportLink) -> ResponseReturnValue:
        now = clock.now()
        act = request.form.get("action", "") if request.method == "POST" else "ask"
        if act not in {"ask", "off", "undo"}:
            abort(400)
        if act == "undo":
            return _not_off(services, link, now)
        wish = self_service.later(services, link.member_id, now)
        can_undo = act == "off" and self_service.off_today(services, link.member_id, now)
        return _page(services, "off.html", wish, act=act, can_undo=can_undo)

    @blueprint.post("/r/<token>/again")
    def again(token: str) -> ResponseReturnValue:
        # Not guarded: this is what an expired link is still good for.
        link = services.links.read_report(token)
        self_service.send_again(services, link.member_id, clock.now())
        return render_template("fresh_link_sent.html")


def _not_off(services: Services, link: ReportLink, now: datetime) -> str:
    """Takes back the day that the page took: midnight may have passed since.

    Leave that was there before stays, and the answer says how things stand.
    """
    day = _day()
    done = self_service.not_off(services, link.member_id, day, now)
    wish = self_service.later(services, link.member_id, now)
    return _page(services, "off.html", wish, act="undo" if done else "ask", day=day)


def _day() -> date:
    try:
        return read_date(_typed("day"))
    except UnusableValue:
        abort(400)


def _first_choice(wish: Later) -> str:
    """What is filled in, so that two taps are enough."""
    if wish.in_an_hour:
        return "hour"
    return "workday" if wish.next_workday else "date"


def _snooze(services: Services, wish: Later, now: datetime) -> Snoozed:
    """What was asked for, done. Raises NotNow, UnusableValue."""
    email, until = wish.person.member.email, request.form.get("until", "")
    if until == "workday":
        return snooze_until(services, email, None, email, now)
    if until == "date":
        return snooze_until(services, email, read_date(_typed("date")), email, now)
    if until == "at":
        at = read_time(_typed("at"))
        return snooze_today(services, email, at, email, now, form_key.sent())
    if until == "hour" and wish.in_an_hour:
        return snooze_today(services, email, wish.in_an_hour, email, now, form_key.sent())
    raise UnusableValue(*_CHOOSE)


def _typed(name: str) -> str:
    return request.form.get(name, "")[:_MAX_FIELD]


_CHOOSE = Both("いつお知らせするかを一つ選んでください。", "Choose when.")


def _ask(services: Services, wish: Later, until: str, fault: Both | None = None) -> str:
    # Of what was typed nothing is lost; else the fields hold what most will want.
    afternoon, workday = wish.this_afternoon, wish.next_workday
    return _page(
        services,
        "later.html",
        wish,
        until=until,
        fault=fault,
        at=request.form.get("at", afternoon.isoformat("minutes") if afternoon else ""),
        date=request.form.get("date", workday.isoformat() if workday else ""),
    )


def _page(services: Services, template: str, wish: Later, **words: object) -> str:
    g.locale = "en" if wish.person.locale.startswith("en") else "ja"
    member = wish.person.member
    stop = services.links.stop_url(StopLink(member.id, Kind.REMINDER))
    return render_template(
        template,
        name=inert(member.name),
        wish=wish,
        token=(request.view_args or {})["token"],
        change_url=stop,
        show_date=lambda day: show_date(day, current(), with_year=day.year != wish.today.year),
        **words,
    )
