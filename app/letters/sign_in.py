"""The sign-in mail: sent whatever the hour, because its reader is waiting.

One link, and none to stop such mails: the reader asked for it.
"""

from app.compose.note import NoteFacts, note, shown_name
from app.letters.context import LetterContext
from app.links import SIGN_IN_MINUTES
from app.locale import Both
from app.outbox.precheck import Send


def letter(case: LetterContext) -> Send:
    """The number of a sign-in mail is the id of its link."""
    end = case.mail.expires_at.astimezone(case.reader.rhythm.zone)
    until, name = f"{end:%H:%M}", shown_name(case.reader.member.name)
    as_whom = Both(
        f"このリンクを開いた人は、{f'{name}さん' if name else 'ご本人'}としてサインインできます。",
        f"Whoever opens the link can sign in as {name or 'you'}.",
    )
    facts = NoteFacts(
        name=case.reader.member.name,
        email=case.mail.to_addr,
        locale=case.locale,
        subject=Both(f"サインインのリンク({until}まで)", f"Your sign-in link (until {until})"),
        preheader=Both(
            "ボタンを押すと、確認のページが開きます。",
            "The button opens a page that asks you to confirm.",
        ),
        title=Both(
            "Task Progress にサインインするためのリンクです。",
            "This link signs you in to Task Progress.",
        ),
        body=Both(
            f"{SIGN_IN_MINUTES}分間({until}まで)、1回だけ使えます。",
            f"It works once, for {SIGN_IN_MINUTES} minutes (until {until}).",
        ),
        button=Both("サインインする", "Sign in"),
        url=case.services.links.sign_in_url(case.mail.n),
        foot=[[_NOT_ASKED_FOR], [as_whom, _DO_NOT_FORWARD]],
    )
    return Send(note(facts), [])


_NOT_ASKED_FOR = Both(
    "お心当たりがないときは、このメールを削除してください。何も起こりません。",
    "If you did not ask for it, delete this mail. Nothing will happen.",
)
_DO_NOT_FORWARD = Both("ほかの方に転送しないでください。", "Please do not forward this mail.")
