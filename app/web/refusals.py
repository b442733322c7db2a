"""What a refusal is to a browser: its status, and a page that says it.

Only for what a page does not show by itself, beside the form that it was about.
"""

from flask import Flask, current_app, render_template, request

from app.refused import HTTP_STATUS, Code, Refused
from app.web import access

_TO_MEND = 422  # where the code alone does not say
_PAGES = {Code.BAD_LINK: "link_broken.html", Code.TOO_MANY_SIGN_INS: "login_slow.html"}


def register(app: Flask) -> None:
    """Show every refusal that no page catches."""
    app.register_error_handler(Refused, _page)


def status_of(refused: Refused) -> int:
    """The HTTP status."""
    return HTTP_STATUS.get(refused.code, _TO_MEND)


def _page(refused: Refused) -> tuple[str, int, dict[str, str]]:
    status = status_of(refused)
    if status >= 500:  # not the visitor's fault; and the database cannot say who that is
        current_app.logger.warning("%s: %s", request.url_rule, refused.sentence.en)
        access.forget_visitor()
    shown = render_template(_PAGES.get(refused.code, "error.html"), code=status, refused=refused)
    headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
    return shown, status, headers
