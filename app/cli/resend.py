"""`outbox resend`: one ended mail again, or all of a date that ended in one state."""

import sys
from datetime import date

import click

from app import clock, outbox
from app.cli.common import date_option, interrupted, user_option
from app.cli.language import LOCALE, Failed, UsageRefused, say
from app.cli.outbox import outbox_group
from app.cli.remind import ASK_ABOVE, NOTHING_SENT, say_what_waits
from app.cli.shell import ROW_ID, OneOf, Shell, ask, flag, on_terminal, option, who
from app.locale import Both
from app.models import ENDS
from app.monitoring import status
from app.outbox import resending
from app.outbox.resending import Extent, Which
from app.outbox.restored import held_of
from app.people.lookup import check_known
from app.services import Services

_ENDED = OneOf("STATE", *sorted(ENDS))


@outbox_group.entry(
    "resend",
    "終わったメールを1通、またはその日の分をまとめて送り直す",
    "send an ended mail again, or all of a date",
)
@click.argument("mail_id", type=ROW_ID, metavar="[ID]", required=False)
@date_option
@option("--state", "この状態で終わった", "that ended in this state", type=_ENDED)
@option(
    "--reason",
    "理由か応答にこの語を含む",
    "whose reason or answer has these words",
    metavar="WORDS",
)
@user_option
@flag("--yes", "確認せずに送る", "do not ask")
@click.pass_obj
def resend(
    shell: Shell,
    *,
    mail_id: int | None,
    on: date | None,
    state: str | None,
    reason: str | None,
    email: str | None,
    yes: bool,
) -> None:
    """Makes new mails; says how many, and which copies are or may be out already."""
    many = on is not None and state is not None
    if (mail_id is not None) == many or (not many and (on or state or reason or email)):
        raise UsageRefused(
            "メールの番号 ID か、--date と --state の両方を指定してください。",
            "Say the ID of a mail, or both --date and --state.",
        )
    services = shell.services(queue=True)
    if mail_id is not None:
        _one(services, mail_id, yes=yes)
    elif on is not None and state is not None:
        check_known(services, email)
        _many(services, Which(on, state, reason, email), yes=yes)


def _one(services: Services, mail_id: int, *, yes: bool) -> None:
    mail = outbox.show(services, mail_id)
    copies = resending.copies_out(services, mail_id)
    if copies and resending.may_resend(mail["state"], mail["user_id"], mail["kind"]):
        listed = ", ".join(map(str, copies))
        said = Both(
            f"{mail['email']} には {mail['local_date']} の分としてすでに{len(copies)}通"
            f"出ているか、出る可能性があります(メール {listed})。",
            f"{len(copies)} went out to {mail['email']} for {mail['local_date']} already, "
            f"or may (mail {listed}).",
        )
        _ask(said, Both("もう1通送りますか", "Send one more"), must_say=True, yes=yes)
    new = outbox.resend(services, mail_id, who=who(), now=clock.now())
    say(f"メール {new} として送り直します。", f"It goes out again as mail {new}.")


def _many(services: Services, which: Which, *, yes: bool) -> None:
    all_of_it = resending.extent(services, which)
    if not all_of_it.mails:
        nothing = _words(which, all_of_it)
        raise Failed(f"{nothing.ja}何も送っていません。", f"{nothing.en} Nothing was sent.")
    must_say = all_of_it.mails > ASK_ABOVE or all_of_it.copies > 0
    question = Both("送り直しますか", "Send them again")
    _ask(_words(which, all_of_it), question, must_say=must_say, yes=yes)
    try:
        made = resending.resend_all(services, which, who=who(), now=clock.now())
    except KeyboardInterrupt:
        left = resending.extent(services, which).mails
        raise interrupted(all_of_it.mails - left, left, _SAME_AGAIN) from None
    say(f"{len(made)}通を送り直します。", f"{len(made)} go out again.")
    say_what_waits(held_of(services, made))
    for line in status.stopped(services, clock.now()):
        print(line.sentence.to(LOCALE), file=sys.stderr)


def _ask(said: Both, question: Both, *, must_say: bool, yes: bool) -> None:
    """A person is asked; without a terminal --yes is wanted where `must_say`."""
    if yes or not (must_say or on_terminal()):
        print(said.to(LOCALE), file=sys.stderr)
        return
    alone = Both(
        f"{said.ja}それでも送る場合は --yes を付けてください。まだ何も送っていません。",
        f"{said.en} If you mean it, say --yes. Nothing was sent.",
    )
    ask(f"{said.to(LOCALE)} {question.to(LOCALE)}", alone, NOTHING_SENT)


def _words(which: Which, found: Extent) -> Both:
    words = Both(
        f"{which.on} の {which.state} のメールのうち、送り直すのは{found.mails}通です。",
        f"Mails of {which.on} in state {which.state} to send again: {found.mails}.",
    )
    if found.copies:
        words = Both(
            f"{words.ja}その人たちには、すでに{found.copies}通出ているか、出る可能性があります。",
            f"{words.en} {found.copies} went out to the same members already, or may.",
        )
    if found.left_out:
        words = Both(
            f"{words.ja}ほかの{found.left_out}通は、送り直し済みか、"
            "いまは宛先に送れない(無効、送信停止、MAIL_ONLY_TO の対象外など)ため含みません。",
            f"{words.en} Left out: {found.left_out}, sent again already or to members who may not "
            "get mail now (not active, address stopped, MAIL_ONLY_TO).",
        )
    return words


_SAME_AGAIN = Both("同じコマンドで続きから送り直せます。", "The same command goes on with those.")
