"""PURE. Whose fault a refusal is, judged by what the server says and not by where it says it.

One table, read from above; the first row that fits decides. A server states its reason three
times: the reply code (RFC 5321), the enhanced status code (RFC 3463, where it has one), and words.
The words are the most precise, so they come first; they mostly quote an address, which is taken
out before they are read, because a mailbox may be called anything.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from app.channel import MOST_TEXT, Fault
from app.locale import Both


class Phase(StrEnum):
    """The steps of a mail's way to the server, in their order."""

    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    SIZE = "size"  # the server said how much it takes, and this mail is more
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


# Until the sender is named, nothing that is said can be about one mail.
_SESSION = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.TLS, Phase.AUTH})
_BEFORE_RECIPIENT = _SESSION | {Phase.MAIL}
_AT_RCPT = frozenset({Phase.RCPT})
FROM_RCPT = frozenset({Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT})


class Rule(NamedTuple):
    """A row of the table: whose fault it is when all that the row names fits. `source`: why."""

    fault: Fault
    source: str
    words: str | None = None  # a pattern somewhere in the words, which are in small letters
    status: str | None = None  # a pattern for the whole enhanced status code
    code: str | None = None  # and for the whole reply code
    phases: frozenset[Phase] | None = None


# What to mend, and where, where an operator has to.
REMEDIES = {
    Fault.LOCAL: Both(
        "このマシンの DNS とネットワーク、SMTP_HOST を確かめてください。",
        "Check this machine's DNS and network, and SMTP_HOST.",
    ),
    Fault.LOGIN: Both(
        ".env の SMTP_USERNAME と SMTP_PASSWORD を直して再起動してください。",
        "Mend SMTP_USERNAME and SMTP_PASSWORD in .env, then restart.",
    ),
    Fault.OAUTH: Both(
        "SMTP_OAUTH_ の設定(シークレットの期限、管理者の同意、メールボックスへの権限)を "
        "`task-progress doctor` で確かめ、直して再起動してください(docs/mail-providers.ja.md)。",
        "Look at the SMTP_OAUTH_ settings with `task-progress doctor` (end of the secret, admin consent, "
        "right to the mailbox), mend them, then restart (docs/mail-providers.md).",
    ),
    Fault.SENDER: Both(
        ".env の MAIL_FROM と MAIL_RETURN_PATH が、メールサーバーで使える差出人か(メールボックス、"
        "送信元の認証、DNS の SPF・DKIM)を確かめてください。",
        "Check that the mail server knows MAIL_FROM and MAIL_RETURN_PATH of .env as yours: mailbox, "
        "verified sender, SPF and DKIM in the DNS.",
    ),
    Fault.QUOTA: Both(
        "メールサービスの送信数の上限です。提供元の管理画面で上限を上げるか、解除を待ってください"
        "(.env の SMTP_RATE_PER_MINUTE でゆっくり送れます)。",
        "The account may send no more now. Raise the limit in the provider's console, or wait "
        "(SMTP_RATE_PER_MINUTE in .env sends more slowly).",
    ),
    Fault.ACCOUNT: Both(
        "このアカウントまたはこのマシンからの送信が許されていません。.env の SMTP_USERNAME と SMTP_HOST、"
        "メールサービスの管理画面(停止、中継の許可、ブロックリスト)を確かめてください。",
        "This account or machine may not send. Check SMTP_USERNAME and SMTP_HOST in .env, and in "
        "the provider's console whether it is suspended, may relay, or is on a block list.",
    ),
    Fault.EVERYONE: Both(
        "続けて3人が同じ応答で断られました。.env の MAIL_FROM と MAIL_RETURN_PATH、メールサービスの管理画面を"
        "確かめてください。",
        "Three people in a row were refused in the same way. Check MAIL_FROM and MAIL_RETURN_PATH "
        "in .env, and the provider's console.",
    ),
    Fault.ADDRESS: Both(
        "宛先のアドレスを確かめ、違っていればメンバーの登録を直してください。",
        "Check the address; if it is wrong, mend the member's.",
    ),
    Fault.RECIPIENT: Both(
        "受け取る側の都合です(容量、受信の設定)。本人または相手先の管理者に確かめてください。",
        "It is up to the recipient's side (room, rules): ask them or their administrator.",
    ),
}

# Limits on sending, in the words of many providers. Those of a mailbox are its owner's.
_LIMIT = (
    r"(sending|send|outgoing|outbound|relay|submission|messages?|daily|hourly)"
    r"( \w+){0,3} (limit|quota|allowance)"
)

RULES = (
    # --- this mail is too large, already at MAIL
    Rule(Fault.MAIL, "RFC 1870; RFC 3463, X.2.3 and X.3.4", status=r"[45]\.(3\.4|2\.3)"),
    Rule(Fault.MAIL, "RFC 1870", r"message size|message( is)? too (big|large)|size (exceeds|limit)", code="552"),
    Rule(Fault.MAIL, "RFC 1870", code="552", phases=frozenset({Phase.MAIL})),
    # --- how much the account may send
    Rule(Fault.QUOTA, "SendGrid, SMTP errors", r"maximum credits exceeded"),
    Rule(Fault.QUOTA, "Amazon SES, sending quotas", r"daily message quota exceeded"),
    Rule(Fault.QUOTA, "Exchange Online, NDR codes", r"submissionquotaexceeded"),
    Rule(Fault.QUOTA, "Exchange Online, NDR codes", status=r"5\.7\.705|5\.1\.90"),
    Rule(Fault.RECIPIENT, "RFC 3463, X.2.2", status=r"[45]\.2\.2", phases=FROM_RCPT),
    Rule(Fault.THROTTLE, "Google Workspace, SMTP errors", r"peak smtp relay limit exceeded", code="4.."),
    Rule(Fault.QUOTA, "Google Workspace, SMTP errors", r"^email quota exceeded", status=r"5\.7\.1"),
    Rule(Fault.QUOTA, "Google Workspace, SMTP errors", rf"{_LIMIT} (is |has been |was )?(exceeded|reached)"),
    Rule(Fault.QUOTA, "words of many providers", rf"(exceed(ed|s)|reached|over) (\w+ ){{0,3}}{_LIMIT}"),
    Rule(Fault.QUOTA, "cPanel with Exim", r"exceeded the max (emails|defers)"),
    Rule(Fault.QUOTA, "Google Workspace, SMTP errors", status=r"5\.4\.5"),
    # --- too fast
    Rule(Fault.THROTTLE, "Amazon SES, sending quotas", r"throttling failure|maximum sending rate"),
    Rule(Fault.RECIPIENT, "Google Workspace, SMTP errors", r"user you are trying to contact is receiving mail", phases=FROM_RCPT),
    # --- the login
    Rule(Fault.LOGIN, "RFC 4954, 4.1 and 6", code="530|534|535|538"),
    Rule(Fault.LOGIN, "Exchange Online, NDR codes", status=r"5\.7\.(30|57|139)"),
    Rule(Fault.LOGIN, "Postfix, reject_sender_login_mismatch; Exim", r"not logged in|authentication (is )?required|must (be authenticated|authenticate)|smtp auth(entication)? (is )?required|client was not authenticated"),
    Rule(Fault.LOGIN, "SendGrid, SMTP errors", r"unauthenticated senders not allowed"),
    Rule(Fault.LOGIN, "RFC 4954, 6", phases=frozenset({Phase.AUTH})),
    # --- the sender's address
    Rule(Fault.SENDER, "Postfix, reject_sender_login_mismatch", r"not owned by"),
    Rule(Fault.SENDER, "Postfix, sender restrictions", r"sender (address )?(rejected|denied|refused)"),
    Rule(Fault.SENDER, "Exim, sender verification; qmail", r"sender verif(y|ication) failed|invalid (envelope )?sender|unroutable sender|domain of sender|sender( \S+){0,3} (does not exist|unknown|not found|invalid)"),
    Rule(Fault.SENDER, "Exchange Online, NDR codes", r"permissions? to send (as|on behalf)|sendasdenied|not allowed to send as"),
    Rule(Fault.SENDER, "Exchange Online, NDR codes", status=r"5\.7\.(60|750)"),
    Rule(Fault.SENDER, "Amazon SES, sending errors", r"email address is not verified"),
    Rule(Fault.SENDER, "SendGrid, sender identity", r"not authorized to send from|does not match a verified sender"),
    Rule(Fault.SENDER, "SoftBank: a sender without DNS", r"^\S+\.\S+ does not exist$", code="553"),
    Rule(Fault.SENDER, "Google Workspace, SMTP errors; RFC 7208, 7489", r"unauthenticated e-?mail|\b(spf|dkim|dmarc)\b"),
    Rule(Fault.SENDER, "RFC 7372, 3", status=r"[45]\.7\.2[0-6]"),
    Rule(Fault.ACCOUNT, "Exchange Online, NDR codes", r"bad outbound sender"),
    Rule(Fault.SENDER, "RFC 3463, X.1.7 and X.1.8", status=r"[45]\.1\.[78]"),
    # --- the right to send
    Rule(Fault.ACCOUNT, "Postfix, Exim, Sendmail, Google Workspace", r"relay(ing)? (access )?(is )?(denied|prohibited|not (permitted|allowed))|not permitted to relay|unable to relay|credentials for relay|do(es)? not relay"),
    Rule(Fault.ACCOUNT, "Amazon SES; Exim; hosting providers", r"sending( \w+){0,6} (suspended|paused)|ability to send( \w+){0,3} (suspended|paused)|outgoing mail suspension|(suspended|blocked|disabled)( \w+){0,3} from sending|not authorized to perform"),
    Rule(Fault.ACCOUNT, "Postfix, client restrictions; block lists", r"(client host|helo command)( \S+)? (rejected|blocked)|banned sending ip|on (our|a) block ?list|(your|the|sending) ip( address)?( \S+){0,6} (block|list|bann|not authori[sz]ed)|traffic not accepted from this ip"),
    Rule(Fault.ACCOUNT, "Exchange Online, NDR codes", status=r"5\.7\.(50[1-9]|51[0-2]|6[0-4]\d|64|708)"),
    # --- the server
    Rule(Fault.THROTTLE, "Exchange Online, SMTP AUTH throttling", r"sender thread limit exceeded|concurrent connections? limit exceeded", code="432", phases=FROM_RCPT),
    Rule(Fault.SERVER, "RFC 5321, 3.8", code="421"),
    Rule(Fault.SERVER, "RFC 3463, X.3.1 and X.3.2", status=r"[45]\.3\.[12]"),
    Rule(Fault.SERVER, "RFC 5321, 4.2.2", r"insufficient (system )?(storage|resources|disk)|space shortage|out of (disk )?space|disk full|no space left", code="4.."),
    Rule(Fault.SERVER, "RFC 5321, 4.2.4: the dialogue", code="50[0-4]", phases=_BEFORE_RECIPIENT),
    Rule(Fault.SERVER, "RFC 3463, X.5: the dialogue", status=r"[45]\.5\.\d+", phases=_BEFORE_RECIPIENT),
    # --- too fast, in general
    Rule(Fault.THROTTLE, "RFC 3463, X.7", status=r"4\.7\.\d+"),
    Rule(Fault.THROTTLE, "words of many servers", r"throttl|rate ?limit|too (fast|frequent|quickly)|too many (messages|mails|e-?mails|connections|requests)|slow down", code="4.."),
    # --- by the step: before the recipient nothing else was named
    Rule(Fault.SENDER, "RFC 5321, 3.3", code="5..", phases=frozenset({Phase.MAIL})),
    Rule(Fault.SERVER, "RFC 5321, 3.1 to 3.3", phases=_BEFORE_RECIPIENT),
    # --- the recipient
    Rule(Fault.RECIPIENT, "RFC 3463, X.2.2; docomo", r"(mailbox|mail box|inbox)( \w+){0,4} full|quota exceeded|over quota|too much mail data"),
    Rule(Fault.SERVER, "RFC 5321, 4.2.2", code="452", status="", phases=FROM_RCPT - _AT_RCPT),
    Rule(Fault.ADDRESS, "Exchange Online, NDR codes", r"recipient address rejected: access denied", status=r"5\.4\.1"),
    Rule(Fault.ADDRESS, "docomo, au, SoftBank, Sakura; Postfix, Sendmail, qmail", r"unknown (user|recipient|mailbox|local[- ]part)|user( is)? unknown|no such (user|recipient|mailbox|address|person|account)|invalid (recipient|mailbox)|no mailbox here|(user|recipient|mailbox|account|address|tried to reach)( \w+){0,2} (does not|doesn't|not) (exist|found)|recipient ?not ?found|not a valid (mailbox|user|recipient)", code="5..", phases=_AT_RCPT),
    Rule(Fault.ADDRESS, "outlook.com; RFC 5321, 4.2.2", r"mailbox unavailable", code="550", phases=_AT_RCPT),
    Rule(Fault.ADDRESS, "Yahoo! JAPAN, which says so at the dot", r"this user doesn't have an? \S+ account", code="5.."),
    Rule(Fault.ADDRESS, "RFC 3463, X.1.1 to X.1.6; Exchange Online; RFC 7505", status=r"5\.1\.([1-6]|10)"),
    Rule(Fault.ADDRESS, "RFC 3463, X.1.0", status=r"5\.1\.0", phases=_AT_RCPT),
    Rule(Fault.RECIPIENT, "RFC 3463, X.1 and X.2", status=r"[45]\.[12]\.\d+"),
    Rule(Fault.RECIPIENT, "RFC 5321, 3.3", phases=_AT_RCPT),
)  # fmt: skip


def judge(phase: Phase, code: int | None = None, text: str = "") -> Fault:
    """Whose fault an answer is. Without one: the server's, or from the recipient on the mail's.

    There a hang or a close may be this mail's own doing: to blame the server for it would let one
    mail stop all others. At the login it is how some servers refuse one.
    """
    if code is None:
        if phase is Phase.AUTH:
            return Fault.LOGIN
        return Fault.SERVER if phase in _BEFORE_RECIPIENT else Fault.MAIL
    words, status = _plain(text), status_of(text) or ""
    fits = (rule.fault for rule in RULES if _fits(rule, phase, str(code), status, words))
    fault = next(fits, Fault.MAIL)
    # No mail had begun, so it cannot be about one.
    return fault if fault.stops_all or phase not in _SESSION else Fault.SERVER


def judge_again(reason: str) -> Fault:
    """The same of an answer as `refusal_words` wrote it down."""
    found = _WRITTEN.match(reason)
    return judge(Phase(found[1]), int(found[2]), found[3]) if found else Fault.MAIL


def same_refusal(reason: str) -> str:
    """What two refusals have in common when they are the same: no address, no number of a case."""
    found = _WRITTEN.match(reason)
    code, text = (found[2], found[3]) if found else ("", reason)
    words = re.sub(r"\S*\d\S*", "#", _plain(text))
    return f"{code} {status_of(text) or ''} {words}"[:MOST_WORDS]


def status_of(text: str) -> str | None:
    """The enhanced status code (RFC 3463): before the words, or at the end as qmail has it."""
    found = _STATUS.search(text)
    return (found[1] or found[2]) if found else None


MOST_WORDS = 120  # of a refusal, to compare it with others
_STATUS = re.compile(r"^\s*([245]\.\d{1,3}\.\d{1,3})(?![\d.])|\(#([245]\.\d{1,3}\.\d{1,3})\)")
_ANY_STATUS = re.compile(r"(?<!\S)\(?#?[245]\.\d{1,3}\.\d{1,3}\)?(?![\d.])")
_ADDRESS = re.compile(r"<[^<>]{0,320}>|\S{1,64}@\S{1,255}")
_WRITTEN = re.compile(rf"({'|'.join(Phase)}): (\d{{3}})(?: (.*))?\Z", re.DOTALL)


def _plain(text: str) -> str:
    """The words in small letters, on one line, without addresses and status codes."""
    words = _ANY_STATUS.sub(" ", _ADDRESS.sub(" ", text[:MOST_TEXT].lower().replace("’", "'")))
    return " ".join(words.split()).lstrip(":;,.- ")


def _fits(rule: Rule, phase: Phase, code: str, status: str, words: str) -> bool:
    return (
        (rule.phases is None or phase in rule.phases)
        and (rule.code is None or re.fullmatch(rule.code, code) is not None)
        and (rule.status is None or re.fullmatch(rule.status, status) is not None)
        and (rule.words is None or re.search(rule.words, words) is not None)
    )
