"""Checks of APP_BASE_URL, where links in mails lead: it answers, is encrypted, and is this program."""

import http.client
import json
import socket
import ssl
from urllib.parse import urlsplit

from app.config import readers
from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, red, yellow
from app.locale import Both
from app.smtp.errors import explained


def pages(case: CheckContext) -> list[Finding]:
    """Asks APP_BASE_URL for /healthz, as a member's browser would come."""
    base = case.config.app_base_url
    if case.config.dead_links:
        return red(
            "pages",
            f"APP_BASE_URL が {base} のため、メールの中のリンクはこのマシンでしか開けません。",
            f"APP_BASE_URL is {base}: the links in the mails open only on this machine.",
            "APP_BASE_URL=https://progress.example.jp",
        )
    try:
        status, body = _get(base)
    except (OSError, http.client.HTTPException) as error:
        return _unreachable(base, error)
    return _answer(base, status, body) + _encryption(base)


def _get(base: str) -> tuple[int, bytes]:
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_WITHIN)
    try:
        connection.request("GET", f"{parts.path}/healthz", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    finally:
        connection.close()


def _unreachable(base: str, error: Exception) -> list[Finding]:
    why = Both(type(error).__name__, type(error).__name__)
    if isinstance(error, ssl.SSLError):
        why = explained(error)
    elif isinstance(error, socket.gaierror):
        why = Both("名前が DNS にありません", "its name is not in the DNS")
    elif isinstance(error, TimeoutError):
        why = Both("時間内に応答がありません", "no answer in time")
    elif isinstance(error, ConnectionRefusedError):
        why = Both("接続を断られました", "connection refused")
    return red(
        "pages",
        f"ページ: {base} を開けません({why.ja})。メールの中のリンクも開けません。",
        f"Pages: {base} cannot be opened ({why.en}), nor can the links in the mails.",
        f"systemctl status task-progress-web nginx; curl -v {base}/healthz",
    )


def _answer(base: str, status: int, body: bytes) -> list[Finding]:
    try:
        told = json.loads(body)
        ours = isinstance(told, dict) and "reasons" in told
    except ValueError:
        ours = False
    if not ours:
        return red(
            "pages",
            f"ページ: {base}/healthz に答えたのは、このプログラムではありません(HTTP {status})。",
            f"Pages: what answered at {base}/healthz is not this program (HTTP {status}).",
            "proxy_pass http://127.0.0.1:8000;  # nginx",
        )
    if status != 200:
        reasons = ", ".join(map(str, told["reasons"]))
        return yellow(
            "pages",
            f"ページ: {base} は開けますが、不調と答えています({reasons})。",
            f"Pages: {base} answers, and says that it is unwell ({reasons}).",
            "ほかの行を直してください。",
            "Mend the other lines.",
        )
    return green("pages", f"ページ: {base} を開けます。", f"Pages: {base} can be opened.")


def _encryption(base: str) -> list[Finding]:
    if base.startswith("https://") or readers.leads_home(base):
        return []
    return yellow(
        "pages-tls",
        f"ページ: {base} は暗号化されていません。リンクは本人として働くので、盗み見られると"
        "危険です。",
        f"Pages: {base} is not encrypted, and its links act in a member's name.",
        base.replace("http://", "APP_BASE_URL=https://", 1),
    )
