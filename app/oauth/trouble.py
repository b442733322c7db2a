"""PURE. Why there is no token: whose fault it is, and what to do, by what the endpoint says.

Microsoft: "Microsoft Entra authentication and authorization error codes" (learn.microsoft.com).
Google: the errors of "Using OAuth 2.0 for Server to Server Applications". Both read in 2026-11.
"""

import re
from urllib.parse import quote, quote_plus

from app.channel import Fault, printable
from app.locale import Both

MOST = 160  # characters of an endpoint's own words


class TokenError(Exception):
    """There is no token. `why`: a sentence; `fix`: what to do, where that is known."""

    def __init__(self, fault: Fault, why: Both, fix: Both | None = None) -> None:
        super().__init__(str(why))
        self.fault = fault
        self.why = why
        self.fix = fix

    def again(self) -> "TokenError":
        """The same, for another thread to raise."""
        return TokenError(self.fault, self.why, self.fix)


_SECRET = Both(
    "Entra 管理センターの「証明書とシークレット」で新しいシークレットを作り、その「値」(ID ではありません)を "
    "SMTP_OAUTH_CLIENT_SECRET に、有効期限を SMTP_OAUTH_SECRET_EXPIRES に書いてください。",
    'Make a new secret in the Entra admin center, "Certificates & secrets"; write its value (not its '
    "ID) to SMTP_OAUTH_CLIENT_SECRET and its end to SMTP_OAUTH_SECRET_EXPIRES.",
)
_CLOCK = Both(
    "このマシンの時計を合わせてください: sudo timedatectl set-ntp true && timedatectl",
    "Set this machine's clock: sudo timedatectl set-ntp true && timedatectl",
)
_DELEGATION = Both(
    "Google 管理コンソールの「ドメイン全体の委任」に、サービスアカウントのクライアント ID とスコープ "
    "https://mail.google.com/ を登録し、SMTP_USERNAME がこの組織のユーザーかを確かめてください。",
    "Enter the service account's client ID with the scope https://mail.google.com/ under \"Domain-wide "
    'delegation" in the Google Admin console; SMTP_USERNAME must be a user of that organisation.',
)
_HINTS = (  # a pattern in the endpoint's answer, and what to do
    (r"AADSTS700024|reasonable timeframe|not within its valid time range", _CLOCK),
    (r"AADSTS7000215|AADSTS7000222", _SECRET),
    (
        r"AADSTS700027|AADSTS700030",
        Both(
            "SMTP_OAUTH_CERTIFICATE_FILE の証明書を、アプリの「証明書とシークレット」に登録してください。",
            "Upload the certificate of SMTP_OAUTH_CERTIFICATE_FILE to the app's certificates.",
        ),
    ),
    (
        r"AADSTS700016|AADSTS7000112|AADSTS90002|AADSTS900023",
        Both(
            "SMTP_OAUTH_TENANT と SMTP_OAUTH_CLIENT_ID を、アプリの概要ページの値と比べてください。",
            "Compare SMTP_OAUTH_TENANT and SMTP_OAUTH_CLIENT_ID with the app's overview page.",
        ),
    ),
    (
        r"AADSTS70011|AADSTS1002012|invalid_scope",
        Both("SMTP_OAUTH_SCOPE の行を消してください。", "Remove the line SMTP_OAUTH_SCOPE."),
    ),
    (r"unauthorized_client|Invalid email or User ID|invalid_grant", _DELEGATION),
    (r"invalid_client", _SECRET),
)


def refused(status: int, error: str, description: str, secrets: tuple[str, ...]) -> TokenError:
    """The error for an answer that is no token. Nothing of `secrets` is in it.

    What can pass (429, 5xx) is the server's fault, the rest an operator's to mend.
    """
    passing = status in {408, 429} or status >= 500 or error == "temporarily_unavailable"
    words = masked(f"{error} {description}".strip(), secrets)[:MOST]
    said = f"HTTP {status} {words}".rstrip()
    why = Both(
        f"OAuth のトークンを取得できません。トークンのサーバーが「{said}」と答えました。",
        f'There is no OAuth token: the token endpoint answered "{said}".',
    )
    fix = next((todo for pattern, todo in _HINTS if re.search(pattern, words)), None)
    return TokenError(Fault.SERVER if passing else Fault.OAUTH, why, None if passing else fix)


def no_answer(why: Both) -> TokenError:
    """The endpoint did not answer, or not with a token."""
    return TokenError(
        Fault.SERVER,
        Both(
            f"OAuth のトークンを取得できません。トークンのサーバー: {why.ja}。",
            f"There is no OAuth token. The token endpoint: {why.en}.",
        ),
    )


def unusable_key(name: str) -> TokenError:
    """The key with which we sign cannot be used. `name`: its setting."""
    return TokenError(
        Fault.OAUTH,
        Both(
            f"OAuth のトークンを取得できません。{name} の鍵で署名できません。",
            f"There is no OAuth token: the key in {name} cannot sign.",
        ),
    )


def clock_is_off(error: TokenError, seconds: float) -> TokenError:
    """The same error, where the endpoint's clock and ours are apart."""
    ahead = round(seconds)
    return TokenError(
        error.fault,
        Both(
            f"{error.why.ja}このマシンの時計は相手と {abs(ahead)} 秒ずれています。",
            f"{error.why.en} This machine's clock is {abs(ahead)} s apart from the endpoint's.",
        ),
        _CLOCK,
    )


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """On one line, without these secrets, also as a form writes them, and without anything else that
    looks like one.
    """
    written = {*secrets, *map(quote, secrets), *map(quote_plus, secrets)} - {""}
    for secret in sorted(written, key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"[A-Za-z0-9_~.+/=-]{60,}", "***", printable(text))
