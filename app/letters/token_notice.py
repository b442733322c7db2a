"""The mail before an API token ends: its owner can make another one in time."""

from app.compose.note import NoteFacts, note
from app.compose.text import date_words
from app.letters.context import LetterContext
from app.locale import Both
from app.models import ApiToken, State
from app.outbox.precheck import Defer, Send, Skip
from app.rules.decision import Reason


def letter(case: LetterContext) -> Send | Skip | Defer:
    """The number of such a mail is the id of its token; of one that was revoked, or is another
    member's, nothing is said."""
    token = case.session.get(ApiToken, case.mail.n)
    if token is None or token.revoked_at is not None or token.user_id != case.mail.user_id:
        return Skip(State.CANCELLED, Reason.CANCELLED)
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    ja, en = date_words(token.expires_on)
    facts = NoteFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        subject=Both(
            f"API トークン「{token.name}」は{ja}までです", f"API token {token.name} ends on {en}"
        ),
        preheader=Both(
            "そのあとは、これを使うプログラムが止まります。",
            "Programs that use it stop after that.",
        ),
        title=Both(
            f"API トークン「{token.name}」({token.shown}…)は、{ja}まで使えます。",
            f"Your API token {token.name} ({token.shown}…) works until {en}.",
        ),
        body=Both(
            "使い続けるプログラムがあれば、それまでに新しいトークンを作って入れ替えてください。"
            "使っていなければ、何もする必要はありません。",
            "If a program still uses it, make a new token before that and put it in its place. If "
            "none does, there is nothing to do.",
        ),
        button=Both("トークンの画面を開く", "Open the page of tokens"),
        url=case.services.links.page("/settings/tokens"),
        foot=[],
    )
    return Send(note(facts), [])
