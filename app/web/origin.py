"""The origin of a request: which site sent it, and whether it was meant for these pages at all.

A browser says by itself which site sent a form: Sec-Fetch-Site (Fetch Metadata), over plain http
only Origin (RFC 6454), and old ones at least Referer. No page of another site can forge them. A
browser or a proxy that says nothing leaves it open.
"""

import re
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from flask import Flask, Response, current_app, request

from app.config import Config
from app.locale import Both
from app.util import urls

# Asked by machines, which know this one by its number: docs/monitoring.md.
_FOR_MONITORS = frozenset({"health.healthz", "health.metrics"})
_PORTS = {"http": 80, "https": 443}
_NAME = r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?"  # the lengths of DNS (RFC 1035, 2.3.4)
_HOST = re.compile(rf"(?:{_NAME}|\[[0-9a-f:.]+\])?(?::(?P<port>[0-9]{{0,5}}))?", re.ASCII | re.I)


class Origin(StrEnum):
    """Which site sent the request, as far as the browser says."""

    OURS = "ours"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


def register(app: Flask) -> None:
    """Refuse what names another host, or none that can be, before anything else is looked at.

    Host is what the client wrote: a foreign name that leads here (DNS rebinding) or a link made of
    a foreign one has no business with these pages. With one that cannot be read no page can be
    found, not even that of an error.
    """
    app.before_request(_check_host)


def origin() -> Origin:
    """Which site sent this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site in ("same-origin", "same-site", "cross-site"):
        return Origin.OURS if site == "same-origin" else Origin.ELSEWHERE
    said = request.headers.get("Origin", request.headers.get("Referer", ""))
    if said in ("", "null"):  # "null": also a form of our own page that names no origin
        return Origin.UNKNOWN
    here = [_parts(current_app.extensions["task_progress"].config.app_base_url)]
    if urls.is_loopback(_parts(f"//{request.host}")[1]):  # let in by `_check_host`
        here.append(_parts(f"{request.scheme}://{request.host}"))
    return Origin.OURS if _parts(said) in here else Origin.ELSEWHERE


def _check_host() -> Response | None:
    config: Config = current_app.extensions["task_progress"].config
    said = request.headers.get("Host", "")
    if not _is_well_formed(said):
        return plain(_MALFORMED, 400)  # RFC 9112, 3.2
    host = _parts(f"//{said}")[1]
    if request.endpoint in _FOR_MONITORS or host == _parts(config.app_base_url)[1]:
        return None
    at_home = config.local_mailbox or urls.leads_home(config.app_base_url)
    if at_home and urls.is_loopback(host):
        return None
    return plain(_OTHER_HOST, 421)  # RFC 9110, 15.5.20: it does not answer for that host


def _is_well_formed(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and int(found["port"] or 0) < 65_536


def plain(words: Both, status: int) -> Response:
    """In both languages, where no page can be drawn or a machine asks."""
    return Response(f"{words.ja}\n{words.en}\n", status=status, mimetype="text/plain")


def _parts(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; two addresses of one site have the same ones."""
    try:
        split: SplitResult = urlsplit(url)
        host = (split.hostname or "").removesuffix(".")
        return split.scheme, host, split.port or _PORTS.get(split.scheme)
    except ValueError:
        return "", "", None


_MALFORMED = Both(
    "リクエストの Host ヘッダーが、ホスト名として読めません。アドレスを確かめてください。",
    "The Host header of this request is no host name. Look at the address.",
)
_OTHER_HOST = Both(
    "このアドレスではページを開けません。管理者から知らされたアドレスで開いてください"
    "(管理者の方へ: 設定 APP_BASE_URL の名前と、リクエストの Host が違います)。",
    "These pages are not served under this address. Open the address that you were told. "
    "(To the operator: the request's Host is not the name in APP_BASE_URL.)",
)
