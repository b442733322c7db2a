"""Shared by the commands about mails: decisions in words, unknown addresses, Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from app.cli.language import LOCALE, Failed, UsageRefused, t
from app.cli.shell import Day, Instant
from app.locale import Both
from app.people.lookup import has_mail_or_member, nearest
from app.people.settings import NoSuchMember
from app.people.values import ValuesRefused
from app.reminders.reasons import REASONS
from app.services import Services
from app.util.parse import shown

date_option = click.option("--date", "on", type=Day(), help=t("その日付の", "of this date"))
user_option = click.option(
    "--user", "email", metavar="EMAIL", help=t("この人だけ", "only this member")
)
now_option = click.option(
    "--now", type=Instant(), help=t("この時刻として(試験用)", "as if it were then")
)

rehearsal_option = click.option(
    "--rehearsal",
    is_flag=True,
    help=t(
        "予行として --now や --date を許す(メールは実際に SMTP_HOST へ渡る)",
        "a rehearsal: allow --now and --date (mails do go to SMTP_HOST)",
    ),
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


class member_named:  # noqa: N801 - reads as a sentence
    """Turns an unknown address into words, with the nearest one."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, NoSuchMember):
            email = str(error.args[0])
            near = nearest(self.services, email)
            raise Failed(
                Both(
                    f"「{shown(email)}」というメンバーはいません。"
                    + (f"{near} ではありませんか。" if near else ""),
                    f'There is no member "{shown(email)}".'
                    + (f" Did you mean {near}?" if near else ""),
                )
            ) from None


@contextmanager
def faults_named() -> Iterator[None]:
    """Turns values that cannot be used into words: all of them, each with its key."""
    try:
        yield
    except ValuesRefused as error:
        raise UsageRefused(
            Both(
                "\n".join(f"{key}: {sentence.ja}" for key, sentence in error.faults),
                "\n".join(f"{key}: {sentence.en}" for key, sentence in error.faults),
            ),
            click.get_current_context(),
        ) from None


def known_member(services: Services, email: str | None) -> None:
    """Refuses an address that neither a member has nor a mail went to, as `simulate` does."""
    if email is not None and not has_mail_or_member(services, email):
        with member_named(services):
            raise NoSuchMember(email)


def interrupted(done: int, left: int) -> Failed:
    """After Ctrl-C: how far it came."""
    return Failed(
        Both(
            f"中断しました。済み {done}通、残り {left}通。残りは次の定期処理が続けます。",
            f"Interrupted: {done} done, {left} left. The next tick goes on with those.",
        ),
        code=130,
    )
