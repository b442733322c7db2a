"""Check of HEARTBEAT_URL: whether the service that should notice our silence can be reached."""

import http.client

from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, yellow
from app.monitoring import heartbeat_url


def listener(case: CheckContext) -> list[Finding]:
    """Connects and asks for nothing: a question would pass for a tick. The address is not shown."""
    url = case.config.heartbeat_url
    if url is None:
        return _nobody(case)
    server = heartbeat_url.connection(url, ANSWER_WITHIN)
    try:
        server.connect()
    except (OSError, http.client.HTTPException) as error:
        return _unreachable(type(error).__name__)
    finally:
        server.close()
    return green(
        "heartbeat",
        "HEARTBEAT_URL: サーバーに接続できます。",
        "HEARTBEAT_URL: its server can be reached.",
    )


def _nobody(case: CheckContext) -> list[Finding]:
    ja = "HEARTBEAT_URL: 設定されていません。このマシンが止まっても、外からは気づかれません。"
    en = "HEARTBEAT_URL: not set. Nobody outside would notice that this machine is off."
    if case.config.local_mailbox:  # `make run`: no reader waits for its mails
        return green("heartbeat", ja, en)
    return yellow(
        "heartbeat",
        ja,
        en,
        "毎分の知らせを待つサービスのアドレスを .env に書いてください: "
        "HEARTBEAT_URL=https://...(docs/monitoring.ja.md)",
        "Write the address of a service that waits for a word each minute into .env: "
        "HEARTBEAT_URL=https://... (docs/monitoring.md)",
    )


def _unreachable(why: str) -> list[Finding]:
    return yellow(
        "heartbeat",
        f"HEARTBEAT_URL: サーバーに接続できません({why})。見守りのサービスには異常に見えます。",
        f"HEARTBEAT_URL: its server cannot be reached ({why}). To who listens all looks dead.",
        "アドレス、DNS、ファイアウォール(外向きの HTTPS)を確かめてください。",
        "Check the address, the DNS and the firewall (HTTPS to the outside).",
    )
