"""What a refusal is to a browser: its status, and a page that says it.

Only for what a page does not show by itself, beside the form that it was about.
"""

from flask import Flask, current_app, render_template, request

from app.refused import Code, Refused
from app.web import access

_TO_MEND = 422  # all others
STATUS = {
    Code.CHANGED_MEANWHILE: 409,
    Code.NOT_POSSIBLE: 409,
    Code.LAST_ADMIN: 409,
    Code.NO_SUCH_MEMBER: 404,
    Code.NO_SUCH_TEAM: 404,
    Code.NO_SUCH_TASK: 404,
    Code.NO_SUCH_MAIL: 404,
    Code.NO_SUCH_FILE: 404,
    Code.NO_SUCH_DAYS: 404,
    Code.BAD_LINK: 404,
    Code.LINK_USED: 410,
    Code.LINK_EXPIRED: 410,
    Code.TOO_MANY_SIGN_INS: 429,
    Code.DATABASE_DOWN: 503,
    Code.WRONG_SCHEMA: 503,
    Code.UNKNOWN_KEY: 503,
    Code.BACKUP_FAILED: 500,
}
_PAGES = {Code.BAD_LINK: "link_broken.html", Code.TOO_MANY_SIGN_INS: "login_slow.html"}


def register(app: Flask) -> None:
    """Show every refusal that no page catches."""
    app.register_error_handler(Refused, _page)


def status_of(refused: Refused) -> int:
    """The HTTP status."""
    return STATUS.get(refused.code, _TO_MEND)


def _page(refused: Refused) -> tuple[str, int, dict[str, str]]:
    status = status_of(refused)
    if status >= 500:  # nobody's fault who is here; and the database cannot say who that is
        current_app.logger.warning("%s: %s", request.url_rule, refused.sentence.en)
        access.nobody()
    shown = render_template(_PAGES.get(refused.code, "error.html"), code=status, refused=refused)
    headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
    return shown, status, headers
