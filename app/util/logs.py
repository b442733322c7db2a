"""Log format: a record is one line, as text or as JSON (LOG_FORMAT).

    2026-11-24T00:00:00.123Z INFO app.outbox.connections mail id=17 kind=reminder state=accepted ms=3
    {"time": "2026-11-24T00:00:00.123Z", "level": "INFO", "logger": …, "event": "mail", "id": 17, …}

`log.info("mail", extra={"facts": {"id": 17}})` is an event with facts; any other record, Celery's
and gunicorn's too, is a sentence. Neither holds an address, token or password, whatever
the origin, and of an exception only its kind and place: its words may quote what a person wrote.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

from app.util.log_stream import LogStream

MOST = 4_000  # characters of a sentence, and of an exception
CAUSES = 10
# What a record would hold that no line shows; to find it out takes a third of a record's time.
_UNREAD = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")
_PROJECT = f"{Path(__file__).parents[2]}/"
_PACKAGES = re.compile(r"^.*/(?:site-packages|python3\.\d+)/")
# Looking from the middle of a word would take a minute for a long one.
_WORD = r"[^\s<>\"'(),:;=@/]"
_ADDRESS = re.compile(rf"(?:\"[^\"]*\"|(?<!{_WORD}){_WORD}+)@(?=[^\s<>\"'(),:;@]+\.\w)")
_PASSWORD = re.compile(r"(://)[^\s@/]*@")
_BARE = re.compile(r"[^\s\"=\x00-\x1f\x7f]+")
_AS_JSON = json.JSONEncoder(ensure_ascii=False).encode
_NONE: dict[str, Any] = {}
# Exceptions whose words quote no person: what is wrong with a file, a socket, Redis or the database.
_SPEAKS = ("redis.", "kombu.", "amqp.", "app.db", "app.schema", "app.ai.")


# In a path, a request line, a Referer, or a mail, up to what ends a path segment; and API tokens,
# whatever they stand in.
def _tokens(spelled: Callable[[str], str]) -> re.Pattern[str]:
    """`spelled`: the ways to write a character."""
    slash, dot, key = spelled("/"), spelled("."), "".join(map(spelled, "tpk_"))
    pages = "|".join("".join(map(spelled, page)) for page in ("r", "u", "login"))
    below = f"{slash}(?:{pages})(?:{slash}{dot}{{0,2}})*{slash}"
    return re.compile(rf"({below}|{key})[^\s/?#&\"'<>]+")


_TOKEN = _tokens(re.escape)
# Any character may be escaped, once or several times: a log shows what came, before a server has
# undone what a program or a relay did.
_ESCAPED = _tokens(lambda one: f"(?:{re.escape(one)}|%(?:25)*(?i:{ord(one):02x}))")


def mask_tokens(text: str) -> str:
    """`text` with "…" in the place of each token."""
    return (_ESCAPED if "%" in text else _TOKEN).sub(r"\1…", text)


def install(
    log_format: str, *, level: int = logging.INFO, handler: logging.Handler | None = None
) -> Callable[[], None]:
    """From now on this process says all it logs in this format, to stderr or `handler`.

    Returns what puts everything back as it was.
    """
    if handler is None:
        stream = sys.stderr
        handler = logging.StreamHandler(
            stream if isinstance(stream, LogStream) else LogStream(stream)
        )
    handler.setFormatter(formatter(log_format))
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    looks = {name: getattr(logging, name) for name in _UNREAD}
    for name in _UNREAD:
        setattr(logging, name, None)
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread

    def put_back() -> None:
        root.handlers[:], level, sys.excepthook, threading.excepthook = before
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        for name, value in looks.items():
            setattr(logging, name, value)

    return put_back


def formatter(log_format: str) -> logging.Formatter:
    """`text` or `json`."""
    return _Json() if log_format == "json" else _Text()


def line(logger: str, level: int, event: str, **facts: object) -> str:
    """The line that `install` makes of such a record, for a caller that writes it out by other means."""
    record = logging.LogRecord(logger, level, "", 0, event, (), None)
    record.facts = facts
    return logging.getLogger().handlers[0].format(record)


def in_json() -> bool:
    """Whether this process says what it says as JSON."""
    return any(isinstance(one.formatter, _Json) for one in logging.getLogger().handlers)


def mask(text: str) -> str:
    """`text` without tokens of mail links, passwords in URLs, and local parts of addresses."""
    if "@" in text:
        text = _ADDRESS.sub("…@", _PASSWORD.sub(r"\1…@", text))
    return mask_tokens(text) if "/" in text or "tpk_" in text or "%" in text else text


class _Text(logging.Formatter):
    """`time level logger event key=value …`; what holds a blank stands in quotes."""

    def format(self, record: logging.LogRecord) -> str:
        event, facts = said(record)
        told = [f"{name}={_value(value)}" for name, value in facts.items()]
        return " ".join([_time(record), record.levelname, record.name, event, *told])


class _Json(logging.Formatter):
    """One object a line; the facts stand beside time, level, logger and event."""

    def format(self, record: logging.LogRecord) -> str:
        event, facts = said(record)
        head = {"time": _time(record), "level": record.levelname, "logger": record.name}
        return _AS_JSON({**head, "event": event, **facts})


def said(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The event of a record and its facts; `exception` is one of them."""
    facts: dict[str, Any] = getattr(record, "facts", _NONE)
    if facts is _NONE:
        event, facts = _on_one_line(mask(_sentence(record))[:MOST]), {}
    else:
        event = record.msg
        facts = {name: _plain(value) for name, value in facts.items() if value is not None}
    if record.exc_info and record.exc_info[1] is not None:
        facts["exception"] = _on_one_line(mask(_what_and_where(record.exc_info[1]))[:MOST])
    return event, facts


def _plain(value: object) -> object:
    return value if isinstance(value, int) else _on_one_line(mask(str(value)))


def _sentence(record: logging.LogRecord) -> str:
    """What a record says, with exceptions cut to what they may say."""
    message, args = record.msg, record.args
    if isinstance(message, BaseException):
        return _words(message)
    if isinstance(args, Mapping) and "exc" in args:  # Celery's, about a job that failed
        args = {**args, "exc": str(args["exc"]).partition("(")[0], "traceback": ""}
    elif isinstance(args, tuple):
        args = tuple(_words(one) if isinstance(one, BaseException) else one for one in args)
    try:
        return str(message) % args if args else str(message)
    except Exception:  # noqa: BLE001 - logging would print the arguments, over many lines
        return "a line that cannot be written"


def _words(error: BaseException) -> str:
    name = type(error).__name__
    ours = isinstance(error, OSError) or type(error).__module__.startswith(_SPEAKS)
    return f"{name}: {error}" if ours and str(error) else name


def _what_and_where(error: BaseException) -> str:
    """`KeyError app/web/report.py:33 show < app/web/access.py:88 guarded`, and what it came from."""
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(told) < CAUSES:  # they can go round in a circle
        told.append(f"{_words(cause)} {' < '.join(reversed(list(_places(cause.__traceback__))))}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "; from ".join(told)


def _places(trace: TracebackType | None) -> Iterator[str]:
    for frame, line in walk_tb(trace):
        file = frame.f_code.co_filename.removeprefix(_PROJECT)
        yield f"{_PACKAGES.sub('', file)}:{line} {frame.f_code.co_name}"


def _on_one_line(text: str) -> str:
    """A sentence with line breaks, or that holds what a terminal would obey, on one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text.strip())


def _value(value: object) -> str:
    if isinstance(value, str) and not _BARE.fullmatch(value):
        return _AS_JSON(value)
    return str(value)


def _time(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC).isoformat('T', 'milliseconds')[:-6]}Z"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("app").critical("uncaught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
