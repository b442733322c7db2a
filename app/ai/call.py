"""One question to an OpenAI-compatible server: bounded in time and size, tried once.

Trying again is the business of `recap_store`, which all workers share; the client's own retries are off.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ai.answer import MOST_BYTES
from app.config import Config

ANSWER_WITHIN = 60.0  # seconds
CONNECT_WITHIN = 10.0
MOST_TOKENS = 4_000  # of an answer; a model that thinks first thinks within it
_ASK_AGAIN = frozenset({408, 409, 425, 429})


class NoAnswer(Exception):
    """The text is a word or a status that says why; never what was sent or came back."""

    def __init__(self, why: str, *, again: bool, after: float | None = None) -> None:
        super().__init__(why)
        self.again = again  # worth another try
        self.after = after  # seconds the server asks for


@dataclass(frozen=True, slots=True)
class AiAnswer:
    """What came back, unread, and what it cost; None where the server does not say."""

    text: str
    tokens: int | None


def ask(config: Config, messages: Sequence[Mapping[str, str]]) -> AiAnswer:
    """The server's answer. Raises NoAnswer."""
    try:
        import openai  # noqa: PLC0415 - an extra: requirements/ai.txt, and half a second to import
    except ImportError:
        raise NoAnswer("not_installed", again=False) from None
    ends = time.monotonic() + ANSWER_WITHIN * config.test_time_scale
    key = config.ai_api_key.get_secret_value() if config.ai_api_key else ""
    client = openai.OpenAI(
        base_url=config.ai_base_url,
        api_key=key or "none",
        max_retries=0,
        timeout=openai.Timeout(
            ANSWER_WITHIN * config.test_time_scale, connect=CONNECT_WITHIN * config.test_time_scale
        ),
    )
    wanted: Any = list(messages)
    try:
        with (
            client,
            client.chat.completions.with_streaming_response.create(
                model=config.ai_model or "",
                messages=wanted,
                max_completion_tokens=MOST_TOKENS,
            ) as response,
        ):
            return _read(_bounded(response.iter_bytes(), ends))
    except NoAnswer:
        raise
    except openai.APITimeoutError:
        raise NoAnswer("timeout", again=True) from None
    except openai.APIStatusError as error:
        status, after = error.status_code, error.response.headers.get("retry-after") or ""
        again = status in _ASK_AGAIN or status >= 500
        seconds = float(after) if after.isdecimal() else None
        raise NoAnswer(f"http_{status}", again=again, after=seconds) from None
    # The body is read past the client, so what breaks there is the HTTP library's own error.
    except Exception as error:  # noqa: BLE001 - whatever it is, the counted recap takes its place
        raise NoAnswer(type(error).__name__, again=True) from None


def _bounded(pieces: Iterable[bytes], ends: float) -> bytes:
    body = b""
    for piece in pieces:
        body += piece
        if len(body) > MOST_BYTES:
            raise NoAnswer("too_long", again=False)
        if time.monotonic() > ends:
            raise NoAnswer("timeout", again=True)
    return body


def _read(body: bytes) -> AiAnswer:
    try:
        found = json.loads(body)
        text = found["choices"][0]["message"]["content"] or ""
        tokens = (found.get("usage") or {}).get("total_tokens")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise NoAnswer("no_json", again=False) from None
    if not isinstance(text, str):
        raise NoAnswer("no_json", again=False)
    return AiAnswer(text, tokens if type(tokens) is int and tokens >= 0 else None)
