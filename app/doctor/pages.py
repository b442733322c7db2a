"""Checks of APP_BASE_URL, where links in mails lead: it answers, is encrypted, and is this program;
and whether agents are let in.
"""

from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, red, yellow
from app.util import urls
from app.util.http import HttpAnswer, HttpClient, HttpError


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
        # As a browser: neither our proxy nor our authorities are the member's.
        answer = HttpClient().request("GET", f"{base}/healthz", within=ANSWER_WITHIN)
    except HttpError as error:
        return _unreachable(base, error)
    return _answer(base, answer) + _encryption(base)


def agents(case: CheckContext) -> list[Finding]:
    """Says where agents connect, while they may."""
    url = case.config.mcp_url
    if url is None:
        return []
    return green(
        "agents",
        f"AI エージェント: トークンがあれば {url} に接続できます(MCP_SERVER=on)。",
        f"Agents: with a token they connect at {url} (MCP_SERVER=on).",
    )


def _unreachable(base: str, error: HttpError) -> list[Finding]:
    return red(
        "pages",
        f"ページ: {base} を開けません({error.why.ja})。メールの中のリンクも開けません。",
        f"Pages: {base} cannot be opened ({error.why.en}), nor can the links in the mails.",
        f"systemctl status task-progress-web nginx; curl -v {base}/healthz",
    )


def _answer(base: str, answer: HttpAnswer) -> list[Finding]:
    status, told = answer.status, answer.json()
    if "reasons" not in told:
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
    if base.startswith("https://") or urls.leads_home(base):
        return []
    return yellow(
        "pages-tls",
        f"ページ: {base} は暗号化されていません。リンクは本人として働くので、盗み見られると"
        "危険です。",
        f"Pages: {base} is not encrypted, and its links act in a member's name.",
        base.replace("http://", "APP_BASE_URL=https://", 1),
    )
