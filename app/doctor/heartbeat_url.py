"""Check of HEARTBEAT_URL: whether the service that should notice our silence can be reached."""

from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, yellow
from app.util.http import HttpError


def listener(case: CheckContext) -> list[Finding]:
    """Connects and asks for nothing: a question would pass for a tick. The address is not shown."""
    url = case.config.heartbeat_url
    if url is None:
        return _not_set(case)
    try:
        case.config.http.reach(url, ANSWER_WITHIN)
    except HttpError as error:
        return yellow(
            "heartbeat",
            f"HEARTBEAT_URL: サーバーに接続できません({error.why.ja})。見守りのサービスには異常に見えます。",
            f"HEARTBEAT_URL: its server cannot be reached ({error.why.en}). To who listens all looks dead.",
            "アドレス、DNS、ファイアウォール(外向きの HTTPS)、HTTPS_PROXY を確かめてください。",
            "Check the address, the DNS, the firewall (HTTPS to the outside) and HTTPS_PROXY.",
        )
    return green(
        "heartbeat",
        "HEARTBEAT_URL: サーバーに接続できます。",
        "HEARTBEAT_URL: its server can be reached.",
    )


def _not_set(case: CheckContext) -> list[Finding]:
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
