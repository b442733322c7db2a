"""Why a mail was not accepted: at which step, whose fault it is, and whether waiting helps."""

import errno
import socket
import ssl
from typing import Literal

from app.channel import Answer, Fault, SendError, printable
from app.locale import Both
from app.smtp.fault import FROM_RCPT, Phase, judge, status_of
from app.smtp.wire import BadReplyError

__all__ = ["MailSendError", "Phase", "explained", "failure", "no_tls", "refusal"]

_STEPS = {
    Phase.CONNECT: Both("メールサーバーへの接続", "connecting to the mail server"),
    Phase.BANNER: Both("メールサーバーの最初の応答", "the mail server's greeting"),
    Phase.EHLO: Both("挨拶(EHLO)", "EHLO"),
    Phase.TLS: Both("暗号化(TLS)", "TLS"),
    Phase.AUTH: Both("ログイン(AUTH)", "login (AUTH)"),
    Phase.MAIL: Both("差出人(MAIL FROM)", "sender (MAIL FROM)"),
    Phase.SIZE: Both("メールの大きさ", "size of the mail"),
    Phase.RCPT: Both("宛先(RCPT TO)", "recipient (RCPT TO)"),
    Phase.DATA: Both("本文の開始(DATA)", "start of the body (DATA)"),
    Phase.BODY: Both("本文の送信", "sending the body"),
    Phase.DOT: Both("本文の終わり(最後のドット)", "end of the body (final dot)"),
}


class MailSendError(SendError):
    """A mail, or the whole session, that the mail server did not take.

    phase: a Phase. code, status: such as "550", "5.1.1" (RFC 5321, RFC 3463). fault: see
    `app.smtp.fault`. in_doubt: the final dot was sent and no answer came.
    """

    phase: Phase

    def __init__(
        self,
        phase: Phase,
        why: Both,
        *,
        answer: Answer | None = None,
        permanent: bool = False,
        in_doubt: bool = False,
        fault: Fault | None = None,
    ) -> None:
        step = _STEPS[phase]
        self.words = Both(f"{step.ja}: {why.ja}", f"{step.en}: {why.en}")
        super().__init__(str(self.words))
        self.phase = phase
        self.code = answer.code if answer else None
        self.status = status_of(answer.text) if answer else None
        self.text = printable(answer.text) if answer else str(why)
        self.permanent = permanent
        self.in_doubt = in_doubt
        self.of_one = phase in FROM_RCPT
        self.fault = fault or judge(phase, self.code, self.text)

    @property
    def blame(self) -> Literal["server", "mail"]:
        """Whether the next mail would fare the same."""
        return "server" if self.fault.stops_all else "mail"

    @property
    def login_refused(self) -> bool:
        """Whether the login is what is wrong: no mail goes until an operator acts."""
        return self.fault.is_login


def refusal(phase: Phase, answer: Answer, fault: Fault | None = None) -> MailSendError:
    """The error for a server's answer that is not the one hoped for; 5xx is permanent.

    `fault`: where the caller knows more than the answer says.
    """
    said = f"{answer.code} {printable(answer.text)}".rstrip()
    why = Both(f"メールサーバーが「{said}」と答えました。", f'The mail server answered "{said}".')
    permanent = 500 <= answer.code <= 599
    return MailSendError(phase, why, answer=answer, permanent=permanent, fault=fault)


def failure(phase: Phase, error: Exception, *, in_doubt: bool = False) -> MailSendError:
    """The error for whatever socket, ssl or a time limit raised; never permanent."""
    fault = Fault.LOCAL if phase is Phase.CONNECT and _is_local(error) else None
    why = explained(error)
    if in_doubt:
        why = Both(
            f"{why.ja}受け付けられたかどうかは分かりません。",
            f"{why.en} Whether the mail was accepted is not known.",
        )
    return MailSendError(phase, why, in_doubt=in_doubt, fault=fault)


# No way to the server, no more sockets, or a rule of this machine's own: others may well get there.
_OF_THIS_MACHINE = {
    errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL,
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM,
}  # fmt: skip


def _is_local(error: Exception) -> bool:
    if isinstance(error, socket.gaierror):
        return True
    return isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE


# --- local trouble in plain words ---------------------------------------------------------

_CA_FILE = Both(
    "社内の認証局なら、その証明書を SMTP_CA_FILE に指定してください。",
    "If it is your own authority's, name that one's certificate in SMTP_CA_FILE.",
)
_UNKNOWN_AUTHORITY = Both(
    f"サーバー証明書の発行元がこのマシンでは信頼されていません。{_CA_FILE.ja}",
    f"The server's certificate comes from an authority this machine does not trust. {_CA_FILE.en}",
)

# OpenSSL's numbers (X509_V_ERR_*).
_CERTIFICATE = {
    9: Both(
        "サーバー証明書の有効期間がまだ始まっていません。",
        "The server's certificate is not valid yet.",
    ),
    10: Both("サーバー証明書の有効期限が切れています。", "The server's certificate has expired."),
    18: Both(
        f"サーバー証明書が自己署名です。{_CA_FILE.ja}",
        f"The server's certificate is self-signed. {_CA_FILE.en}",
    ),
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: Both(
        "サーバー証明書は別のホスト名のものです。SMTP_HOST を確認してください。",
        "The server's certificate is for another host name. Check SMTP_HOST.",
    ),
    64: Both(
        "サーバー証明書は別の IP アドレスのものです。SMTP_HOST を確認してください。",
        "The server's certificate is for another IP address. Check SMTP_HOST.",
    ),
}
_OLD_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}


def explained(error: Exception) -> Both:
    """What went wrong on this side of the wire, in both languages, without any mail text."""
    if isinstance(error, ssl.SSLError):
        return _tls_trouble(error)
    for kind, words in _TROUBLE.items():
        if isinstance(error, kind):
            return words
    reason = printable(getattr(error, "strerror", None) or type(error).__name__)
    return Both(f"通信できませんでした({reason})。", f"Communication failed ({reason}).")


_TROUBLE: dict[type[Exception], Both] = {
    BadReplyError: Both(
        "メールサーバーの応答が SMTP の形をしていません。",
        "The answer was not that of an SMTP server.",
    ),
    TimeoutError: Both("時間内に応答がありませんでした。", "No answer came in time."),
    socket.gaierror: Both(
        "サーバー名を IP アドレスに変換できません。SMTP_HOST と DNS を確認してください。",
        "The server's name has no address. Check SMTP_HOST and the DNS.",
    ),
    UnicodeError: Both(
        "SMTP_HOST がホスト名として使えません。", "SMTP_HOST cannot be used as a host name."
    ),
    ConnectionRefusedError: Both(
        "接続を断られました。SMTP_HOST と SMTP_PORT を確認してください。",
        "The connection was refused. Check SMTP_HOST and SMTP_PORT.",
    ),
    ConnectionError: Both(
        "メールサーバーが途中で接続を切りました。", "The mail server closed the connection."
    ),
}


def _tls_trouble(error: ssl.SSLError) -> Both:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = printable(getattr(error, "verify_message", ""))
        unknown = Both(
            f"サーバー証明書を確認できません({reason})。",
            f"The server's certificate cannot be verified ({reason}).",
        )
        return _CERTIFICATE.get(getattr(error, "verify_code", 0), unknown)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _TROUBLE[ConnectionError]
    reason = printable(getattr(error, "reason", None) or type(error).__name__)
    # Debian's Python 3.11 knows no name for this one, which a server of TLS 1.1 ends in there.
    if reason in _OLD_TLS or "legacy sigalg" in str(error):
        return Both(
            "メールサーバーの TLS の版が古すぎます(1.2 以上が必要です)。",
            "The mail server's TLS is too old (1.2 or later is needed).",
        )
    if reason == "WRONG_VERSION_NUMBER":
        return Both(
            "このポートは SSL を話しません。SMTP_PORT と SMTP_SECURITY を確認してください。",
            "This port does not speak SSL. Check SMTP_PORT and SMTP_SECURITY.",
        )
    return Both(f"TLS で通信できません({reason})。", f"TLS failed ({reason}).")


def no_tls() -> MailSendError:
    """TLS is asked for, and there is none."""
    return MailSendError(
        Phase.TLS,
        Both(
            "暗号化された接続ができないため、何も送りませんでした。SMTP_SECURITY と SMTP_USERNAME、"
            "またはサーバーの STARTTLS を確認してください。",
            "There is no encrypted connection, so nothing was sent. Check SMTP_SECURITY and "
            "SMTP_USERNAME, or the server's STARTTLS.",
        ),
    )
