"""The language of a page, and the small words every template uses."""

from datetime import datetime
from typing import cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Flask, Response, current_app, g, request

from app.compose import show_date
from app.compose.text import Locale, inert
from app.web.access import me

_COOKIE = "lang"
_COOKIE_SECONDS = 365 * 86_400


def current() -> Locale:
    """`?lang=`, else the language of whom the page's link was mailed to (`g.locale`), else what
    was chosen in this browser, else the account's, else the browser's, else APP_LOCALE.

    An unknown value counts as not given.
    """
    asking = me()
    account = asking.locale if asking is not None else None
    wishes = (request.args.get("lang"), g.get("locale"), request.cookies.get(_COOKIE), account)
    for wish in wishes:
        if wish in ("ja", "en"):
            return cast("Locale", wish)
    default = current_app.extensions["task_progress"].config.app_locale
    return cast("Locale", request.accept_languages.best_match(("ja", "en"), default=default))


def forget_choice(response: Response) -> None:
    """The account's language holds again: it was just chosen."""
    response.delete_cookie(_COOKIE)


def t(ja: str, en: str, **values: object) -> str:
    """The sentence in the page's language, `{name}` filled from `values`."""
    sentence = en if current() == "en" else ja
    return sentence.format(**values) if values else sentence


def show_when(instant: datetime, timezone: str) -> str:
    """An instant as people of `timezone` read it: 11月24日(火) 09:05, Tue 24 Nov 09:05."""
    local = instant.astimezone(ZoneInfo(timezone))
    return f"{show_date(local.date(), current())} {local:%H:%M}"


def register(app: Flask) -> None:
    """Give templates `t`, `locale`, `inert` and `other_language`; remember a chosen language."""
    app.jinja_env.globals["inert"] = inert
    app.context_processor(_words)
    app.after_request(_remember)


def _words() -> dict[str, object]:
    other = "ja" if current() == "en" else "en"
    chosen = [(name, text) for name, text in request.args.items(multi=True) if name != "lang"]
    link = "?" + urlencode([*chosen, ("lang", other)])
    return {"t": t, "say": lambda both: t(*both), "locale": current(), "other_language": link}


def _remember(response: Response) -> Response:
    if request.method in ("GET", "HEAD") and request.args.get("lang") in ("ja", "en"):
        response.set_cookie(
            _COOKIE,
            current(),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
    return response
