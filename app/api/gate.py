"""What every call of a program passes, whichever door it comes by: bounds, who calls, how often.

A refusal is a problem document, and every answer has the headers of answers for programs.
"""

from collections.abc import Callable

from flask import Flask, Response, current_app, g, request
from limits import RateLimitItemPerMinute
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app import clock
from app.access import api_tokens
from app.access.api_tokens import Caller
from app.api import problems, reading
from app.api.problems import HTTP, BadCall
from app.locale import Both
from app.refused import Code, Refused
from app.services import Services

QUOTA = RateLimitItemPerMinute(600)  # calls of one token
LONGEST = 8_190  # characters of the address, and of one header
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(services: Services) -> Flask:
    """An application for programs, without an address yet."""
    app = Flask("app", static_folder=None)
    app.extensions["task_progress"] = services
    app.config["MAX_CONTENT_LENGTH"] = reading.MOST_BYTES
    app.before_request(_bound)
    app.register_error_handler(Exception, problem_answer)
    app.after_request(_headers)
    return app


def add(app: Flask, path: str, name: str, view: Callable[..., Response], method: str) -> None:
    """An address that knows this method alone."""
    app.add_url_rule(path, name, view, methods=[method], provide_automatic_options=False)


def _bound() -> None:
    """Before anything is looked at."""
    if len(request.full_path) > LONGEST:
        raise BadCall(414)
    if any(len(value) > LONGEST for value in request.headers.values()):
        raise BadCall(431)


def caller(services: Services) -> Caller:
    """By the header Authorization alone: an address is logged on its way, a cookie is a browser's."""
    said = (text for pair in request.args.items(multi=True) for text in pair)
    if any(map(api_tokens.KEY.search, said)):
        raise BadCall(400, _IN_ADDRESS)
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(Code.TOKEN_UNKNOWN, _NONE)
    return api_tokens.caller(services, key.strip(), clock.now())


def take_quota(services: Services, whose: Caller) -> None:
    """Counts the call. Raises Refused where there were too many."""
    key = f"api:{whose.token_id}"
    taken = services.limits.take(QUOTA, key)
    found = services.limits.stats(QUOTA, key)
    left = max(0, round(found.reset_time - clock.of_the_machine().timestamp()))
    amount, seconds = QUOTA.amount, QUOTA.get_expiry()
    g.quota = {
        "RateLimit-Policy": f'"default";q={amount};w={seconds}',
        "RateLimit": f'"default";r={found.remaining};t={left}',
    }
    if not taken:
        raise Refused(Code.TOO_MANY_CALLS, _TOO_MANY, max(1, left))


def body() -> bytes:
    """What was sent. Raises BadCall."""
    sent = request.get_data(cache=False)
    if len(sent) >= reading.MOST_BYTES:  # in chunks, it was cut there
        raise BadCall(413)
    return sent


def locale() -> str:
    """The language that the program asks for; else APP_LOCALE."""
    default = current_app.extensions["task_progress"].config.app_locale
    return str(request.accept_languages.best_match(("ja", "en"), default=default))


def problem_answer(error: Exception) -> Response:
    """The problem document of what was raised; a fault of ours is logged."""
    if isinstance(error, HTTPException):
        code = error.code if error.code in HTTP else 400
        refused: Refused = BadCall(code or 400)
    elif isinstance(error, Refused):
        refused = error
    else:
        current_app.logger.error("Exception on %s", request.url_rule, exc_info=error)
        refused = BadCall(500)
    found = problems.problem(refused, locale())
    response = Response(
        found.model_dump_json(exclude_none=True),
        found.status,
        content_type=problems.CONTENT_TYPE,
    )
    if refused.retry_after:
        response.headers["Retry-After"] = str(refused.retry_after)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if found.status == 401:
        sent = 'error="invalid_token"' if "Authorization" in request.headers else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="task-progress" {sent}'.strip()
    return response


def _headers(response: Response) -> Response:
    for name, value in {**_HEADERS, **g.get("quota", {})}.items():
        response.headers.setdefault(name, value)
    response.headers["Vary"] = "Accept-Language, Authorization"
    return response


_NONE = Both(
    "トークンが必要です。「Authorization: Bearer tpk_…」を付けてください。",
    'A token is needed. Send "Authorization: Bearer tpk_…".',
)
_IN_ADDRESS = Both(
    "トークンをアドレスに入れないでください。記録に残ります。Authorization ヘッダーで送り、"
    "このトークンは取り消してください。",
    "Never put a token into an address: it is logged on its way. Send it in the header "
    "Authorization, and revoke this one.",
)
_TOO_MANY = Both(
    "このトークンの呼び出しが多すぎます。少し待ってください。",
    "There were too many calls with this token. Wait a moment.",
)
