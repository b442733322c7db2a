"""Tokens of this process: one for each account, renewed early, by one thread at a time.

A token is renewed after 80 % of its life. While that does not work out, the old one serves to its end,
so an endpoint that is away for some minutes stops no mail. Each process has its own: an endpoint
gives two tokens to two who ask, and both are good.
"""

import logging
import math
import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from urllib.parse import urlencode

from app import clock
from app.channel import Fault
from app.locale import Both
from app.oauth import trouble
from app.oauth.account import OAuthAccount
from app.oauth.trouble import TokenError
from app.util.http import HttpAnswer, HttpError

ANSWER_WITHIN = 10.0  # seconds for the endpoint
RENEW_AT = 0.8  # of a token's life
ASK_AGAIN = 60.0  # seconds, where an early renewal did not work out
UNSAID_LIFE = 300.0  # seconds, where the endpoint does not say (RFC 6749 5.1)
CLOCKS_APART = timedelta(seconds=60)

# RFC 6750 2.1; AUTH takes a line of 12,288 octets (RFC 4954 4), a third of it is base64.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,8000}={0,2}")

log = logging.getLogger(__name__)


@dataclass
class _Held:
    text: str
    renew_at: float  # by time.monotonic()
    ends: float


class TokenSource:
    """The tokens of one account."""

    def __init__(self, account: OAuthAccount) -> None:
        self._account = account
        self._lock = threading.Lock()  # the thread that has it asks the endpoint
        self._held: _Held | None = None
        self._asked = 0  # how often the endpoint was asked, and what came of it the last time
        self._error: TokenError | None = None

    def token(self, until: float) -> str:
        """One that is good now, after waiting to `until` (time.monotonic()) at most. TokenError."""
        held, asked = self._held, self._asked
        now = monotonic()
        if held is not None and now < held.renew_at:
            return held.text
        good = held is not None and now < held.ends
        if not self._lock.acquire(timeout=0 if good else max(0.0, until - now)):
            if held is not None and good:  # another thread is at it
                return held.text
            raise _too_late()
        try:
            held, error = self._held, self._error
            if self._asked != asked:  # the one before us asked, and this came of it
                if held is not None:
                    return held.text
                if error is not None:
                    raise error.again()
            return self._renew(until).text
        finally:
            self._lock.release()

    def refused(self, text: str) -> None:
        """The mail server does not take this token: the next one is a new one."""
        held = self._held
        if held is not None and held.text == text:
            self._held = None

    def _renew(self, until: float) -> _Held:
        held, began = self._held, monotonic()
        try:
            self._error = None
            self._held = fresh = self._ask(until)
        except TokenError as error:
            self._error = error
            left = held.ends - monotonic() if held is not None else 0.0
            if held is None or left <= 0:
                self._held = None
                raise
            again = monotonic() + ASK_AGAIN * self._account.time_scale
            held.renew_at = min(again, held.ends)
            log.warning(
                "the mail token is not renewed, the last is good for %d s: %s", left, error.why.en
            )
            return held
        finally:
            self._asked += 1
        log.info("a new mail token, after %d ms", (monotonic() - began) * 1000)
        return fresh

    def _ask(self, until: float) -> _Held:
        account, asked_at = self._account, monotonic()
        within = min(ANSWER_WITHIN * account.time_scale, until - asked_at)
        if within <= 0:
            raise _too_late()
        form = self._form()
        try:
            answer = account.http.request(
                "POST",
                account.url,
                within=within,
                body=urlencode(form).encode(),
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                },
            )
        except HttpError as error:
            raise trouble.no_answer(error.why) from None
        return _read(answer, form, asked_at)

    def _form(self) -> dict[str, str]:
        try:
            return self._account.form(clock.of_the_machine().timestamp())
        except Exception:  # noqa: BLE001 - whatever a library says of a key may quote it
            by_google = self._account.service_account_file is not None
            name = "SERVICE_ACCOUNT" if by_google else "CERTIFICATE"
            raise trouble.unusable_key(f"SMTP_OAUTH_{name}_FILE") from None


def _read(answer: HttpAnswer, form: dict[str, str], asked_at: float) -> _Held:
    said = answer.json()
    token, life = said.get("access_token"), _seconds(said.get("expires_in", UNSAID_LIFE))
    if answer.status == 200 and isinstance(token, str) and _TOKEN.fullmatch(token) and life:
        return _Held(token, asked_at + RENEW_AT * life, asked_at + life)
    if answer.status == 200:
        raise trouble.no_answer(Both("応答にトークンがありません", "its answer holds no token"))
    hidden = tuple(
        form[name] for name in ("client_secret", "client_assertion", "assertion") if name in form
    )
    error = trouble.refused(
        answer.status, str(said.get("error", "")), str(said.get("error_description", "")), hidden
    )
    apart = _apart(answer)
    if error.fault is Fault.OAUTH and abs(apart) > CLOCKS_APART and "client_secret" not in form:
        raise trouble.clock_is_off(error, apart.total_seconds())
    raise error


def _seconds(value: object) -> float:
    """A length of time as endpoints write it, as number or text; 0.0 where it is none."""
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _apart(answer: HttpAnswer) -> timedelta:
    """How far our clock is ahead of the endpoint's, as its answer's Date says."""
    try:
        return clock.of_the_machine() - parsedate_to_datetime(answer.headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return timedelta()


def _too_late() -> TokenError:
    return trouble.no_answer(Both("時間内に応答がありません", "no answer in time"))


_SOURCES: dict[OAuthAccount, TokenSource] = {}
_SOURCES_LOCK = threading.Lock()


def tokens_of(account: OAuthAccount) -> TokenSource:
    """The tokens of this account in this process."""
    with _SOURCES_LOCK:
        return _SOURCES.setdefault(account, TokenSource(account))
