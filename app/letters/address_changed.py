"""The mail to the address that a member had: from now on mails go to another one.

It does not name the other one: the old mailbox may be another person's by now.
"""

from app.compose.note import NoteFacts, note
from app.letters.context import LetterContext
from app.locale import Both
from app.outbox.precheck import Defer, Send, Skip


def letter(case: LetterContext) -> Send | Skip | Defer:
    """It waits through quiet hours: the member has to do nothing at once."""
    quiet = case.quiet()
    if quiet is not None:
        return quiet
    facts = NoteFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        subject=Both("メールアドレスが変更されました", "Your mail address was changed"),
        preheader=Both(
            "このアドレスには、今後お送りしません。", "No further mails go to this address."
        ),
        title=Both(
            "Task Progress に登録されたメールアドレスが変更されました。",
            "Your mail address in Task Progress was changed.",
        ),
        body=Both(
            "タスクのお知らせは、今後、新しいアドレスにお送りします。このアドレスではサインイン"
            "できなくなりました。タスクと報告はそのままです。",
            "From now on your reminders go to the new address, and this one no longer signs in. "
            "Your tasks and reports stay as they are.",
        ),
        button=Both("サインインの画面を開く", "Open the sign-in page"),
        url=case.services.links.page("/login"),
        foot=[[_NOT_EXPECTED]],
    )
    return Send(note(facts), [])


_NOT_EXPECTED = Both(
    "お心当たりがないときは、社内の運用担当者にお知らせください。",
    "If you did not expect this, tell the person who runs Task Progress at your company.",
)
