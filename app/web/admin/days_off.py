"""`/admin/days-off`: closures, leave and extra workdays that are running or to come."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.compose import show_date
from app.locale import Both
from app.members.days import LEAVE, WORKDAYS, NoSuchDays
from app.people import values
from app.people.lookup import NoSuchMember
from app.people.values import ValuesRefused
from app.refused import UnusableValue
from app.rules.workdays import Span
from app.services import Services
from app.util.dates_and_numbers import read_date
from app.web import request_args
from app.web.access import admin, myself

_SHOWN = 200  # spans of members
_TYPED = ("action", "kind", "email", "first", "last", "name")
_BACK = timedelta(days=31)  # what the company has that has passed


def add(blueprint: Blueprint, services: Services) -> None:
    """The page about days off."""

    @blueprint.route("/days-off", methods=["GET", "POST"])
    @admin
    def days_off() -> ResponseReturnValue:
        if request.method == "GET":
            return _page(services)
        kind = WORKDAYS if request_args.form("kind") == "workday" else LEAVE
        change = kind.remove if request.form.get("action") == "remove" else kind.add
        email, who, now = request_args.form("email") or None, myself().email, clock.now()
        try:
            with suppress(NoSuchDays):  # another tab was quicker: it is as it should be
                change(services, email, _span(), who, now)
        except ValuesRefused as error:
            return _page(services, dict(error.faults)), 422
        except NoSuchMember as error:
            return _page(services, {"email": error.sentence}), 422
        return redirect(url_for(".days_off", done="saved"), 303)


def _span() -> Span:
    """The days of the form; nothing typed as the last one: one day."""
    name = request_args.form("name")
    faults: list[tuple[str, Both]] = []
    if len(name) > 200 or not name.isprintable():
        faults.append(("name", _LONG_NAME))
    first = last = None
    try:
        first = read_date(request_args.form("first"))
        last = values.read_last(request_args.form("last") or None, first)
    except ValuesRefused as error:
        faults.append(("last", error.faults[0][1]))
    except UnusableValue as error:
        faults.append(("first", error.sentence))
    if first is None or faults:
        raise ValuesRefused(faults)
    return Span(first, last, name)


def _page(services: Services, faults: Mapping[str, Both] | None = None) -> str:
    now = clock.now()
    today = now.astimezone(myself().zone).date()
    away, working = (one.of_members(services, today, _SHOWN + 1) for one in (LEAVE, WORKDAYS))
    typed = {key: request_args.form(key) for key in _TYPED}
    return render_template(
        "admin/days_off.html",
        closures=LEAVE.owned(services, None, today - _BACK),
        workdays=WORKDAYS.owned(services, None, today - _BACK),
        of_members=((away[:_SHOWN], len(away) > _SHOWN), (working[:_SHOWN], len(working) > _SHOWN)),
        typed=typed if faults else dict.fromkeys(typed, ""),
        faults=faults or {},
        saved=request_args.choice("done", ("saved",)),
        words=_words,
    )


def _words(span: Span) -> Both:
    """The days as people read them."""
    first = Both(show_date(span.first, "ja", with_year=True), show_date(span.first, "en", True))
    if span.last is None:
        return Both(f"{first.ja}から当面の間", f"{first.en} until further notice")
    if span.last == span.first:
        return first
    other_year = span.last.year != span.first.year
    ja, en = (show_date(span.last, "ja", other_year), show_date(span.last, "en", other_year))
    return Both(f"{first.ja}〜{ja}", f"{first.en} – {en}")


_LONG_NAME = Both(
    "名前は1行200文字までで入力してください。", "Write the name on one line, at most 200 letters."
)
