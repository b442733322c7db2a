"""Checks of the login: what the server offers, what a password is still good for, the token's rights."""

import base64
import json
import re
from datetime import timedelta

from app.alerts.catalogue import Alarm, words_of
from app.compose.text import date_words
from app.config import presets
from app.doctor.finding import CheckContext, Finding, green, red, yellow
from app.locale import Both
from app.mime.address import read_mailbox
from app.oauth.account import secret_ends
from app.oauth.trouble import TokenError
from app.smtp.errors import MailSendError
from app.util.urls import is_loopback

ENDS_YELLOW = timedelta(days=30)
RIGHT = "SMTP.SendAsApp"  # of an application at Microsoft
_MICROSOFT = re.compile(r"(^|\.)(office365\.com|outlook\.com|office\.com)$", re.IGNORECASE)
_GOOGLE = re.compile(r"^smtp(-relay)?\.gmail\.com$", re.IGNORECASE)


def offered(features: dict[str, str]) -> list[Finding]:
    """Which logins the server offers, as its EHLO says."""
    if not features:
        return []
    ways = features.get("AUTH") or "-"
    return green("smtp-login", f"ログイン方法(AUTH): {ways}", f"Logins (AUTH): {ways}")


def future(case: CheckContext) -> list[Finding]:
    """Whether a login by password will go on working."""
    config = case.config
    if config.smtp_auth != "password" or config.smtp_username is None or config.smtp_host is None:
        return []
    if _GOOGLE.search(config.smtp_host):
        return green(
            "smtp-password",
            "パスワード: Google ではアプリ パスワードだけが使えます(アカウント自体のパスワードは2025年5月に終了)。",
            "Password: Google takes app passwords only (an account's own ended in May 2025).",
        )
    if not _MICROSOFT.search(config.smtp_host):
        return []
    user = config.smtp_username
    return yellow(
        "smtp-password",
        "パスワード: Microsoft は2026年12月末に、SMTP のパスワードでのログインを既存のテナントでも既定で"
        "無効にします(Exchange Team Blog、2026-01-27)。その後はメールを送れなくなります。",
        "Password: at the end of December 2026 Microsoft turns logins by password for SMTP off by default, "
        "in existing tenants, too (Exchange Team Blog, 2026-01-27). Then no mail is sent.",
        "OAuth に切り替えてください(docs/mail-providers.ja.md)。テナントの管理者への依頼文:「"
        f"{user} から送るプログラムのため、Entra にアプリを登録し、Office 365 Exchange Online の {RIGHT} への"
        "管理者の同意と、このメールボックスへの権限をください。間に合わない場合は、それまで SMTP AUTH の基本認証を"
        "有効にしておいてください。」",
        "Change to OAuth (docs/mail-providers.md). To the tenant's admin: \"For the program that sends from "
        f"{user}, please register an app in Entra, consent to {RIGHT} of Office 365 Exchange Online and "
        "give it access to this mailbox. Until that is done, please keep basic authentication for SMTP AUTH "
        'enabled."',
    )


def token(case: CheckContext, text: str) -> list[Finding]:
    """What a token says of its rights, where it is readable (Microsoft's is); the token is not shown."""
    config, roles = case.config, _roles(text)
    if config.smtp_oauth_provider == "microsoft" and roles is not None and RIGHT not in roles:
        has = ", ".join(roles) or "-"
        return red(
            "smtp-oauth",
            f"OAuth: トークンに {RIGHT} の権限がありません(あるもの: {has})。",
            f"OAuth: the token does not carry the right {RIGHT} (it has: {has}).",
            "Entra 管理センター → アプリの登録 → API のアクセス許可 → Office 365 Exchange Online → "
            f"アプリケーションの許可 {RIGHT} を追加し、管理者の同意を与えてください。",
            "Entra admin center, App registrations, API permissions, Office 365 Exchange Online: add the "
            f"application permission {RIGHT} and grant admin consent.",
        )
    return green(
        "smtp-oauth", "OAuth: トークンを取得できます。", "OAuth: the token endpoint gives a token."
    )


def secret(case: CheckContext) -> list[Finding]:
    """How long the application's secret or certificate is good."""
    config, ends = case.config, secret_ends(case.config)
    if config.smtp_auth != "xoauth2" or config.smtp_oauth_service_account_file is not None:
        return []
    if ends is None:
        return yellow(
            "smtp-secret",
            "OAuth: シークレットの期限が分からないため、前もって知らせられません。",
            "OAuth: the end of the secret is not known, so nobody can be told ahead.",
            "SMTP_OAUTH_SECRET_EXPIRES=2027-11-30",
        )
    left = ends - case.clock().date()
    say = red if left < timedelta() else yellow
    day = date_words(ends)
    ja = f"OAuth: シークレット(証明書)の期限は{day.ja}です。"
    en = f"OAuth: the secret (certificate) is good until {day.en}."
    if left > ENDS_YELLOW:
        return green("smtp-secret", ja, en)
    return say("smtp-secret", ja, en, words_of(Alarm.LOGIN_ENDS, {"day": ends.isoformat()}).fix)


def preset(case: CheckContext) -> list[Finding]:
    """Which values come from SMTP_PRESET, and which of the settings go before it."""
    name = case.config.smtp_preset
    if name is None:
        return []
    given, own = presets.compare(case.config)
    mine = f"; .env: {', '.join(own)}" if own else ""
    said = f"SMTP_PRESET={name}: {', '.join(given)}{mine}"
    return green("smtp-preset", said, said)


def send_as(case: CheckContext) -> list[Finding]:
    """Whether the provider lets this mailbox send as MAIL_FROM."""
    config = case.config
    host, user = config.smtp_host or "", config.smtp_username or ""
    who = "Microsoft" if _MICROSOFT.search(host) else "Google" if host == "smtp.gmail.com" else None
    if who is None or "@" not in user or config.mail_from is None or is_loopback(host):
        return []
    author = read_mailbox("mail_from", config.mail_from).address
    if author.lower() == user.lower():
        return []
    fix = {
        "Microsoft": f'Add-RecipientPermission "{author}" -Trustee "{user}" -AccessRights SendAs',
        "Google": f"Gmail({user})→ 設定 → アカウント → 名前 / Settings, Accounts, Send mail as: {author}",
    }
    return yellow(
        "smtp-sender",
        f"差出人: {user} が {author} として送るには、{who} 側の許可が要ります"
        f"({'断られます' if who == 'Microsoft' else 'なければ差出人が書き換えられます'})。",
        f"Sender: {user} needs {who}'s permission to send as {author} "
        f"({'else it refuses' if who == 'Microsoft' else 'else it writes another sender'}).",
        fix[who],
    )


def fix(error: MailSendError) -> Both | None:
    """What to do about a refused login or sender, where the provider's words tell."""
    if isinstance(error.__cause__, TokenError) and error.__cause__.fix is not None:
        return error.__cause__.fix
    said = f"{error.code or ''} {error.text}"
    return next((words for pattern, words in _HINTS if re.search(pattern, said)), None)


# Microsoft Learn, "Authenticate an IMAP, POP or SMTP connection using OAuth" and "Enable or disable
# authenticated client SMTP submission"; Google, "Using OAuth 2.0 for Server to Server Applications".
_HINTS = (
    (
        r"SmtpClientAuthentication is disabled",
        Both(
            "テナントまたはメールボックスで SMTP AUTH が無効です。管理者が Exchange Online PowerShell で: "
            "Set-CASMailbox -Identity app@example.jp -SmtpClientAuthenticationDisabled $false",
            "SMTP AUTH is off for the tenant or the mailbox. An admin, in Exchange Online PowerShell: "
            "Set-CASMailbox -Identity app@example.jp -SmtpClientAuthenticationDisabled $false",
        ),
    ),
    (
        r"5\.7\.30\b|[Bb]asic authentication is (not supported|disabled)",
        Both(
            "パスワードでのログインは、もう使えません。SMTP_AUTH=xoauth2 に切り替えてください(docs/mail-providers.ja.md)。",
            "Logins by password have ended there. Change to SMTP_AUTH=xoauth2 (docs/mail-providers.md).",
        ),
    ),
    (
        r"5\.7\.60|SendAsDenied",
        Both(
            "MAIL_FROM を SMTP_USERNAME と同じにするか、「メールボックス所有者として送信」の権限をもらってください。",
            "Make MAIL_FROM the same as SMTP_USERNAME, or get the right Send As.",
        ),
    ),
    (
        r"mail\.google\.com",
        Both(
            "Google 管理コンソールの「ドメイン全体の委任」で、サービスアカウントのクライアント ID にスコープ "
            "https://mail.google.com/ を許し、SMTP_USERNAME のユーザーを確かめてください。",
            "Allow the service account's client ID the scope https://mail.google.com/ under \"Domain-wide "
            'delegation" in the Google Admin console, and check the user of SMTP_USERNAME.',
        ),
    ),
    (
        r"5\.7\.3 Authentication unsuccessful",
        Both(
            "アプリにこのメールボックスの権限がありません。Exchange Online PowerShell で New-ServicePrincipal(Entra の"
            "「エンタープライズ アプリケーション」のオブジェクト ID)と Add-MailboxPermission -AccessRights FullAccess を"
            "実行し、SMTP_USERNAME がそのメールボックスかを確かめてください(docs/mail-providers.ja.md)。",
            "The app has no right to this mailbox. In Exchange Online PowerShell: New-ServicePrincipal (object ID "
            'under "Enterprise applications") and Add-MailboxPermission -AccessRights FullAccess; SMTP_USERNAME must '
            "be that mailbox (docs/mail-providers.md).",
        ),
    ),
)


def _roles(text: str) -> list[str] | None:
    """The roles in a token that is a JWT (RFC 7519); None where it is none. Nothing is verified."""
    try:
        middle = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        return [str(one) for one in claims.get("roles", [])]
    except (IndexError, ValueError, AttributeError, TypeError):
        return None
