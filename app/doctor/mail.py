"""Checks of the mail server: everything up to the first mail, and on request one test mail."""

import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

from app.channel import Fault
from app.compose.text import date_words
from app.config.sources import relative
from app.doctor import mail_login
from app.doctor.finding import ANSWER_WITHIN, CheckContext, Finding, green, red, yellow
from app.locale import Both
from app.mime.message import UnusableMessage
from app.monitoring import status
from app.oauth import tokens
from app.oauth.trouble import TokenError
from app.outbox.allowlist import in_pilot
from app.smtp.fault import REMEDIES
from app.util import urls
from app.util.mailer import MailMessage, MailSendError, Phase, SmtpSession, SmtpSettings, send_email
from app.util.tls import authorities_in, is_unknown_authority

CERTIFICATE_YELLOW = timedelta(days=14)
AUTHORITY_YELLOW = timedelta(days=60)
LETTER_BYTES = 92_160  # a letter stays under 90 KB


def mail_server(case: CheckContext) -> list[Finding]:
    """Connects, secures and logs in as for a mail, then sends QUIT: nothing is sent."""
    config = case.config
    if config.smtp_host is None:
        return red(
            "smtp",
            "SMTP_HOST が設定されていないため、メールは1通も送られません。",
            "SMTP_HOST is not set: no mail is sent.",
            "SMTP_HOST=smtp.example.jp",
        )
    settings = SmtpSettings.from_config(config)
    settings = replace(settings, timeout=min(settings.timeout, ANSWER_WITHIN), time_scale=1.0)
    if settings.oauth is not None:
        hurried = replace(settings.oauth, time_scale=ANSWER_WITHIN / tokens.ANSWER_WITHIN)
        settings = replace(settings, oauth=hurried)
    with SmtpSession(settings) as session:
        answer, more = _opened(case, session)
        return [
            *answer,
            *mail_login.offered(session.features),
            *_rights(case, settings),
            *mail_login.preset(case),
            *mail_login.future(case),
            *mail_login.secret(case),
            *mail_login.send_as(case),
            *more,
        ]


def _opened(case: CheckContext, session: SmtpSession) -> tuple[list[Finding], list[Finding]]:
    """How the server takes us; and what else it says of itself, where it does."""
    host, login = session.settings.host, case.config.smtp_username
    place = f"{host}:{session.settings.port}"
    try:
        session.open()
    except MailSendError as error:
        subject = Both(f"メールサーバー {place}", f"Mail server {place}")
        return _refused("smtp", subject, error), []
    answer = green(
        "smtp",
        f"メールサーバー: {place} に接続でき{'、ログインできました' if login else 'ました'}。",
        f"Mail server: {place} answered{' and accepted the login' if login else ''}.",
    )
    return answer, [
        *_certificate(case, session.certificate_ends(), host),
        *_own_authorities(case),
        *_size(session.features),
        *_pipelining(case, session.features),
    ]


def _rights(case: CheckContext, settings: SmtpSettings) -> list[Finding]:
    """What the token says, where one came."""
    if settings.oauth is None:
        return []
    try:
        text = tokens.tokens_of(settings.oauth).token(monotonic() + ANSWER_WITHIN)
    except TokenError:
        return []  # the login says so
    return mail_login.token(case, text)


def _refused(check: str, subject: Both, error: MailSendError) -> list[Finding]:
    ja, en = f"{subject.ja}: {error.words.ja}", f"{subject.en}: {error.words.en}"
    return red(check, ja, en, mail_login.fix(error) or _fix(error))


def _fix(error: MailSendError) -> Both:
    """What to do; never to give up encryption."""
    if is_unknown_authority(error.__cause__):
        return Both(
            "メールサーバーの認証局の証明書(PEM)を .env に書いてください: SMTP_CA_FILE=data/mail-ca.pem",
            "Name the certificate (PEM) of the mail server's authority in .env: "
            "SMTP_CA_FILE=data/mail-ca.pem",
        )
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return Both(
            "SMTP_HOST が証明書の名前と同じかを確かめ、期限ならサーバーの管理者に更新を頼んでください。",
            "Check that SMTP_HOST is the certificate's name; if it ended, have it renewed.",
        )
    if error.phase is Phase.TLS and error.__cause__ is None:
        return Both(
            "サーバーの STARTTLS を有効にしてもらうか、SSL のポートなら SMTP_PORT=465 にしてください。",
            "Have STARTTLS switched on there, or use SMTP_PORT=465 where that speaks SSL.",
        )
    if error.fault in {Fault.OAUTH, Fault.SENDER, Fault.QUOTA, Fault.ACCOUNT}:
        return REMEDIES[error.fault]
    if error.blame == "mail":
        return Both(
            "宛先のアドレスと、.env の MAIL_FROM を確かめてください。",
            "Check the address, and MAIL_FROM in .env.",
        )
    names = "SMTP_HOST, SMTP_PORT, SMTP_SECURITY"
    if error.login_refused:
        names = "SMTP_USERNAME, SMTP_PASSWORD"
    return Both(f".env の {names} を確かめてください。", f"Check {names} in .env.")


def _own_authorities(case: CheckContext) -> list[Finding]:
    """Whom SMTP_CA_FILE adds to those that this machine trusts."""
    file = case.config.smtp_ca_file
    if file is None:
        return []
    number, ends = authorities_in(file)
    until = f", {ends:%Y-%m-%d}" if ends else ""
    ja = f"SMTP_CA_FILE: {relative(file)}(証明書 {number} 件{until})も信頼します。"
    en = f"SMTP_CA_FILE: {relative(file)} is trusted, too (certificates: {number}{until})."
    if ends is None or ends - case.clock() >= AUTHORITY_YELLOW:
        return green("smtp-ca", ja, en)
    renew = Both(
        "新しい認証局の証明書を、同じファイルに書き足してください。",
        "Add the certificate of the next authority to the same file.",
    )
    return yellow("smtp-ca", ja, en, renew)


def _certificate(case: CheckContext, ends: datetime | None, host: str) -> list[Finding]:
    if ends is None:
        if urls.is_loopback(host):
            return green("smtp-tls", "TLS: このマシンの中です。", "TLS: on this machine.")
        return yellow(
            "smtp-tls",
            "TLS: メールサーバーと暗号化なしで通信しています。",
            "TLS: the mail server is spoken to in the clear.",
            "SMTP_SECURITY=starttls",
        )
    day = date_words(ends.date())
    ja = f"TLS: メールサーバーの証明書は正しく、{day.ja}まで有効です。"
    en = f"TLS: the mail server's certificate is good until {day.en}."
    if ends - case.clock() < CERTIFICATE_YELLOW:
        renew = Both(
            "メールサーバーの管理者に、証明書の更新を頼んでください。",
            "Ask whoever runs the mail server to renew it.",
        )
        return yellow("smtp-tls", ja, en, renew)
    return green("smtp-tls", ja, en)


def _size(features: dict[str, str]) -> list[Finding]:
    size = features.get("SIZE", "")
    limit = int(size) if size.isascii() and size.isdigit() else 0
    if 0 < limit < LETTER_BYTES:
        return red(
            "smtp-size",
            f"メールサーバーが受け取るのは {limit:,} バイトまでで、リマインダーより小さい上限です。",
            f"The mail server takes {limit:,} bytes at most, less than a reminder may have.",
            f"上限を {LETTER_BYTES:,} バイト以上にしてもらってください(Postfix: "
            "message_size_limit)。",
            f"Have the limit raised to {LETTER_BYTES:,} bytes or more (Postfix: "
            "message_size_limit).",
        )
    ja = f"{limit:,} バイト" if limit else "なし"
    en = f"{limit:,} bytes" if limit else "none"
    return green("smtp-size", f"大きさの上限(SIZE): {ja}", f"Limit of size (SIZE): {en}")


def _pipelining(case: CheckContext, features: dict[str, str]) -> list[Finding]:
    check = "smtp-pipelining"
    if case.config.smtp_pipelining == "off":
        return green(
            check,
            "PIPELINING: SMTP_PIPELINING=off なので使いません。",
            "PIPELINING: not used, as SMTP_PIPELINING=off says.",
        )
    if "PIPELINING" in features:
        return green(check, "PIPELINING: あり", "PIPELINING: offered")
    if case.config.local_mailbox:
        return green(
            check,
            "PIPELINING: なし(手元のメールボックスには要りません)",
            "PIPELINING: not offered (the local mailbox needs none)",
        )
    return yellow(
        check,
        "PIPELINING: なし。1通ごとに往復が増え、送信が遅くなります。",
        "PIPELINING: not offered. Each mail takes more round trips.",
        "SMTP_CONNECTIONS=4",
    )


def send_test(case: CheckContext, recipient: str) -> list[Finding]:
    """Sends one mail to `recipient`, unless all sending is paused or the pilot leaves it out."""
    if hindrance := _hindrance(case, recipient):
        return hindrance
    message = MailMessage(
        to=recipient,
        subject="Task Progress のテストメール / Test mail",
        text="task-progress doctor --send-test で送ったテストメールです。"
        "届いていれば、送信の設定は正しく動いています。\n\n"
        "This is a test sent by task-progress doctor --send-test. "
        "If you read it, the settings for sending work.\n",
    )
    try:
        answer = send_email(message)
    except UnusableMessage as error:
        says = error.sentence
        fix = "task-progress doctor --send-test hanako@example.jp"
        return red("send-test", f"テストメール: {says.ja}", f"Test mail: {says.en}", fix)
    except MailSendError as error:
        return _refused("send-test", Both("テストメール", "Test mail"), error)
    said = f"{answer.code} {answer.text}"
    return green(
        "send-test",
        f"テストメール: メールサーバーが {recipient} 宛てを受け付けました({said})。",
        f"Test mail: accepted by the mail server for {recipient} ({said}).",
    )


def _hindrance(case: CheckContext, recipient: str) -> list[Finding]:
    if not in_pilot(case.config.mail_only_to, recipient):
        return red(
            "send-test",
            "テストメール: MAIL_ONLY_TO にない宛先なので送りませんでした。",
            "Test mail: not sent, as MAIL_ONLY_TO leaves this address out.",
            f"MAIL_ONLY_TO={','.join((*case.config.mail_only_to, recipient))}",
        )
    try:
        if not status.paused(case.services):
            return []
    except Exception:  # noqa: BLE001 - no server, no table: the database check tells which
        return red(
            "send-test",
            "テストメール: 送信が一時停止中かどうかを調べられないので送りませんでした。",
            "Test mail: not sent, as it cannot be known whether sending is paused.",
            "task-progress db upgrade",
        )
    return red(
        "send-test",
        "テストメール: すべての送信を一時停止しているので送りませんでした。",
        "Test mail: not sent, as all sending is paused.",
        "task-progress resume",
    )
