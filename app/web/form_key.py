"""The key of a form that makes something: sent twice, it makes it once (app/access/sent_forms.py).

{{ ui.once() }}          in the form
form_key=form_key.sent() to the use case
"""

import re
import secrets
from datetime import UTC, datetime

from flask import Flask, request

from app import clock

_KEY = re.compile(r"[0-9]{13}-[\w-]{16}", re.ASCII)


def register(app: Flask) -> None:
    """Give templates `new_form_key()`."""
    app.jinja_env.globals["new_form_key"] = lambda: new(clock.now())


def new(now: datetime) -> str:
    """Names one form, and says when it was opened."""
    return f"{round(now.timestamp() * 1000):013}-{secrets.token_urlsafe(12)}"


def sent() -> str | None:
    """The key of the form that was sent; None where it has none of ours."""
    key = request.form.get("form", "")
    return key if _KEY.fullmatch(key) else None


def opened(key: str, now: datetime) -> datetime:
    """When the form with this key was opened; never later than now."""
    return min(now, datetime.fromtimestamp(int(key.partition("-")[0]) / 1000, UTC))
