"""Shared by the commands about mails: decisions in words, Ctrl-C."""

from app.cli.language import LOCALE, Failed, t
from app.cli.shell import DAY, Instant, flag, option
from app.locale import Both
from app.outbox.reasons import REASONS

date_option = option("--date", "その日付の", "of this date", "on", type=DAY)
user_option = option("--user", "この人だけ", "only this member", "email", metavar="EMAIL")
now_option = option("--now", "この時刻として(試験用)", "as if it were then", type=Instant())

rehearsal_option = flag(
    "--rehearsal",
    "予行として --now や --date を許す(メールは実際に SMTP_HOST へ渡る)",
    "a rehearsal: allow --now and --date (mails do go to SMTP_HOST)",
)


def verdict_words(verdict: str, *, known: bool = False) -> str:
    """A decision as a table shows it; `known`: it was made before."""
    words = t("送る", "send") if verdict == "send" else t("送らない", "skip")
    return words + t("(決定済み)", " (decided before)") * known


def reason_words(reason: str | None) -> str | None:
    """A reason as a sentence of the shell's language; a text that is no reason as it stands."""
    if reason is None:
        return None
    return REASONS[reason].to(LOCALE) if reason in REASONS else reason


_TICK = Both("残りは次の定期処理が続けます。", "The next tick goes on with those.")


def interrupted(done: int, left: int, then: Both = _TICK) -> Failed:
    """After Ctrl-C: how far it came, and what goes on."""
    return Failed(
        f"中断しました。済み {done}通、残り {left}通。{then.ja}",
        f"Interrupted: {done} done, {left} left. {then.en}",
        code=130,
    )
