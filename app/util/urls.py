"""PURE. Addresses of servers as a person typed them: the pages, Redis; and an address without its secrets."""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from app.refused import UnusableValue
from app.util.parse import shown

REDIS_SCHEMES = ("redis", "rediss", "redis+socket")


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine itself: localhost, 127.0.0.0/8, ::1 (RFC 6761, 6.3)."""
    try:
        named = f".{host}".lower().endswith(".localhost")
        return named or ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def leads_home(url: str) -> bool:
    """Whether a web address leads to this machine itself, so that no other machine can open it."""
    return "@" not in url and is_loopback(re.sub(r"^https?://(\[[^]]*\]|[^:/]*).*", r"\1", url))


def mask_url(url: str) -> str:
    """`url` without user name and password, also where they break its grammar."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    elif not re.fullmatch(r"[^:/?#]*(?::[0-9]+)?(?:[/?].*)?", rest):
        rest = "***"  # perhaps a password whose @ was forgotten
    rest = rest.replace("%2C", ",")  # as SQLAlchemy writes several hosts
    rest = re.sub(r"((?:password|token|key)=)[^&#]*", r"\1***", rest, flags=re.IGNORECASE)
    return shown(f"{scheme}://{rest}")


def parse_web_url(text: str) -> str:
    """An http or https address without user, query and fragment; returned without a last slash.

    A host in other letters is returned as its A-label (RFC 5890), as browsers name it in Host.
    Raises UnusableValue.
    """
    parts = _split(text)
    host = _wire_host(parts.hostname) if parts and parts.hostname else None
    if (
        parts is None
        or host is None
        or parts.scheme not in {"http", "https"}
        or any(c in text for c in "@?# ")
    ):
        raise UnusableValue(
            f"「{mask_url(text)}」は使えません。https://progress.example.jp の形で書いてください。",
            f'"{mask_url(text)}" cannot be used. Write it like https://progress.example.jp.',
        )
    if host != parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        text = parts._replace(netloc=f"{host}{port}").geturl()
    return text.rstrip("/")


def _wire_host(host: str) -> str | None:
    """The host in ASCII; None where a label is empty or longer than 63 letters (RFC 1035, 2.3.4)."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def parse_redis_url(text: str) -> str:
    """The URL of a Redis: redis://, rediss:// (certificate verified) or redis+socket://.

    A rediss:// without ssl_cert_reqs gets ssl_cert_reqs=required: kombu would verify nothing,
    Celery's result backend would stop. Raises UnusableValue; no message holds a password.
    """
    scheme = text.partition("://")[0]
    if "://" not in text or scheme not in REDIS_SCHEMES:
        raise _bad_redis(
            text,
            "redis:// か rediss:// か redis+socket:// で始めてください",
            "start it with redis://, rediss:// or redis+socket://",
        )
    if "#" in text or text.count("@") > 1:
        raise _bad_redis(
            text,
            "パスワードの中の @ は %40、# は %23 と書いてください",
            "write @ in a password as %40 and # as %23",
        )
    parts = _split(text)
    well_formed = parts is not None and (
        bool(parts.path) if scheme == "redis+socket" else _names_a_server(parts)
    )
    if parts is None or not well_formed:
        raise _bad_redis(
            text,
            "redis://:パスワード@ホスト:6379/0 の形で書いてください。パスワードの中の記号は % で"
            "表してください(@ は %40、/ は %2F)",
            "write it like redis://:password@host:6379/0, with signs in the password as % codes "
            "(@ is %40, / is %2F)",
        )
    query = dict(parse_qsl(parts.query))
    if scheme == "rediss" and "ssl_cert_reqs" not in query:
        query["ssl_cert_reqs"] = "required"
        return parts._replace(query=urlencode(query)).geturl()
    return text


def _names_a_server(parts: SplitResult) -> bool:
    return bool(parts.hostname) and bool(re.fullmatch(r"/?|/[0-9]{1,3}", parts.path))


def _bad_redis(text: str, ja: str, en: str) -> UnusableValue:
    shape = mask_url(text)
    return UnusableValue(f"「{shape}」は使えません。{ja}。", f'"{shape}" cannot be used: {en}.')


def _split(text: str) -> SplitResult | None:
    """The parts of a URL, or None where host or port make no sense."""
    try:
        parts = urlsplit(text)
        if parts.port == 0 or re.search(r"\s", text):
            return None
    except ValueError:
        return None
    return parts
