"""In which language a page speaks, and the small words every template uses."""

from datetime import datetime
from typing import Literal, cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Flask, Response, g, request

from app.compose import show_date

Locale = Literal["ja", "en"]
_COOKIE = "lang"
_COOKIE_SECONDS = 365 * 86_400


def current() -> Locale:
    """`?lang=`, else the account's (`g.locale`), else the cookie, else the browser, else Japanese.

    An unknown value counts as not given.
    """
    wishes = (request.args.get("lang"), g.get("locale"), request.cookies.get(_COOKIE))
    for wish in wishes:
        if wish in ("ja", "en"):
            return cast("Locale", wish)
    return cast("Locale", request.accept_languages.best_match(("ja", "en"), default="ja"))


def t(ja: str, en: str, **values: object) -> str:
    """The sentence in the page's language, `{name}` filled from `values`."""
    sentence = en if current() == "en" else ja
    return sentence.format(**values) if values else sentence


def show_when(instant: datetime, timezone: str) -> str:
    """An instant as people of `timezone` read it: 11月24日(火) 09:05, Tue 24 Nov 09:05."""
    local = instant.astimezone(ZoneInfo(timezone))
    return f"{show_date(local.date(), current())} {local:%H:%M}"


def register(app: Flask) -> None:
    """Give templates `t`, `locale` and `other_language`; remember a language that was chosen."""
    app.context_processor(_words)
    app.after_request(_remember)


def _words() -> dict[str, object]:
    other = "ja" if current() == "en" else "en"
    chosen = [(name, text) for name, text in request.args.items(multi=True) if name != "lang"]
    link = "?" + urlencode([*chosen, ("lang", other)])
    return {"t": t, "locale": current(), "other_language": link}


def _remember(response: Response) -> Response:
    if request.args.get("lang") in ("ja", "en"):
        response.set_cookie(
            _COOKIE,
            current(),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
    return response
