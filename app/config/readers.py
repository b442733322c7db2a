"""One reader per shape of setting: text -> value, or a ValueError that carries both languages.

Readers run in the order in which the fields of `Config` stand; one that depends on another
setting finds it in `info.data` (absent, if that one was refused). `info.context` is the folder
that relative paths start from.
"""

import re
import ssl
from pathlib import Path

from pydantic import SecretStr, ValidationInfo
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.config.sources import relative
from app.locale import Both, Passing, of_the_system
from app.mime import address
from app.refused import UnusableValue
from app.util import parse, tls, urls

DATABASE_FILE = "task-progress.sqlite3"


def read_broker(text: str) -> str:
    """CELERY_BROKER_URL: a Redis, or an AMQP server."""
    # The contract foresees a broker that is no Redis; of Celery's others only AMQP is a server.
    if text.startswith(("amqp://", "amqps://")) and urls.mask_url(text) != "amqp://***":
        return text
    return urls.parse_redis_url(text)


def read_result_backend(text: str, info: ValidationInfo) -> str:
    """CELERY_RESULT_BACKEND: a Redis; by default the one of the broker, database 1."""
    if text:
        return urls.parse_redis_url(text)
    broker = str(info.data.get("celery_broker_url", ""))
    if not broker.startswith(("redis://", "rediss://")):
        return "redis://127.0.0.1:6379/1"
    # The specification's pair: the same server, /0 for the broker, /1 for results.
    server, question, query = broker.partition("?")
    return re.sub(r"(://[^/]+).*", r"\1/1", server) + question + query


def read_host(text: str) -> str:
    """SMTP_HOST: a host name or address, without scheme and port."""
    with_port = text.count(":") == 1
    if not with_port and re.fullmatch(r"[\w.:-]+|\[[0-9A-Fa-f:.]+\]", text, re.ASCII):
        return text
    raise UnusableValue(
        f"「{parse.shown(text)}」は使えません。smtp.example.jp のようにホスト名だけを書き、"
        "ポートは SMTP_PORT に書いてください。",
        f'"{parse.shown(text)}" cannot be used. Write only the host name, like '
        "smtp.example.jp; the port belongs in SMTP_PORT.",
    )


def read_username(text: str | None, info: ValidationInfo) -> str | None:
    """SMTP_USERNAME: with OAuth the mailbox that is logged in to."""
    if text is None and info.data.get("smtp_auth") == "xoauth2":
        raise UnusableValue(
            "SMTP_AUTH=xoauth2 なので、送信に使うメールボックスのアドレスが必要です。例: app@example.jp",
            "SMTP_AUTH=xoauth2 needs the address of the mailbox that sends, like app@example.jp.",
        )
    return text


def read_password(value: SecretStr | str | None, info: ValidationInfo) -> SecretStr | str | None:
    """SMTP_PASSWORD: as it stands; needed as soon as there is a user name that logs in by it."""
    by_password = info.data.get("smtp_auth") == "password"
    if value is None and info.data.get("smtp_username") and by_password:
        raise UnusableValue(
            "SMTP_USERNAME があるので SMTP_PASSWORD も必要です。",
            "SMTP_USERNAME is set, so SMTP_PASSWORD is needed too.",
        )
    return value


def read_security(text: str, info: ValidationInfo) -> str:
    """SMTP_SECURITY: one of four words, in accord with the port."""
    choice = parse.parse_choice(text, ("auto", "ssl", "starttls", "none"))
    if choice in {"starttls", "none"} and info.data.get("smtp_port") == 465:
        raise UnusableValue(
            f"SMTP_PORT=465 は最初から SSL なので {choice} と両立しません。"
            "auto にするか、SMTP_PORT=587 にしてください。",
            f"Port 465 speaks SSL from the start, so {choice} cannot work. "
            "Use auto, or SMTP_PORT=587.",
        )
    return choice


def read_ca_file(text: str, info: ValidationInfo) -> Path:
    """SMTP_CA_FILE: certificates in PEM, relative to the working folder."""
    base: Path = info.context or Path()
    file = base / text
    try:
        if tls.authorities_in(file).number:
            return file
        why = Both("証明書がありません", "no certificate in it")
    except ssl.SSLError:
        why = Both("PEM 形式の証明書ではありません", "it is no certificate in PEM")
    except OSError as error:
        why = of_the_system(error)
    raise UnusableValue(
        f"{relative(file)} が使えません({why.ja})。メールサーバーの証明書を発行した認証局の証明書を、"
        "-----BEGIN CERTIFICATE----- で始まるファイルで用意してください。",
        f"{relative(file)} cannot be used ({why.en}). Use a file that begins with "
        "-----BEGIN CERTIFICATE----- and holds the authority of the mail server's certificate.",
    )


def read_mail_from(text: str | None, info: ValidationInfo) -> str | None:
    """MAIL_FROM: one mailbox; needed as soon as there is a server."""
    if text is None and info.data.get("smtp_host"):
        raise UnusableValue(
            "SMTP_HOST があるので差出人が必要です。例: Task Progress <app@example.jp>",
            "SMTP_HOST is set, so a sender is needed, like Task Progress <app@example.jp>.",
        )
    return text and read_mailbox(text, info)


def read_mailbox(text: str, info: ValidationInfo) -> str:
    """One mail address, with or without a name; as it stands, since the mailer reads it again."""
    _mailbox(text, info)
    return text


def read_return_path(text: str, info: ValidationInfo) -> str:
    """MAIL_RETURN_PATH: one bare address."""
    mailbox = _mailbox(text, info)
    if not mailbox.name and "<" not in text:
        return mailbox.address
    raise UnusableValue(
        f"名前は付けられません。{mailbox.address} とだけ書いてください。",
        f"No name can stand here. Write only {mailbox.address}.",
    )


def read_selector(text: str) -> str:
    """MAIL_DKIM_SELECTOR: what stands before ._domainkey in the DNS; only `doctor` asks for it."""
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", text):
        return text
    raise UnusableValue(
        f"「{parse.shown(text)}」は使えません。届いたメールの DKIM-Signature の s= の値を"
        "書いてください。例: selector1",
        f'"{parse.shown(text)}" cannot be used. Write the value of s= in a received mail\'s '
        "DKIM-Signature, like selector1.",
    )


def read_only_to(text: str, info: ValidationInfo) -> tuple[str, ...]:
    """MAIL_ONLY_TO: addresses and domains, separated by commas, as the mailer writes them."""
    entries = [entry.strip() for entry in text.split(",")]
    return tuple(_recipient(entry, info) for entry in entries)


def _recipient(entry: str, info: ValidationInfo) -> str:
    name, _, domain = entry.rpartition("@")
    if name or " " in entry:  # a domain holds no blank; "x@foo bar" would be shown as typed
        return _mailbox(entry, info).address
    return _mailbox(f"x@{domain}", info).address.removeprefix("x@")


def _mailbox(text: str, info: ValidationInfo) -> address.Mailbox:
    """`text` by the rules for every address; `@localhost` only where no mail can leave."""
    host = info.data.get("smtp_host")
    at_home = host is None or urls.is_loopback(host)
    return address.read_mailbox((info.field_name or "").upper(), text, allow_localhost=at_home)


def read_folder(text: str | Path, info: ValidationInfo) -> Path:
    """DATA_DIR: a folder, relative to the working folder."""
    if "?" in str(text):  # an SQLite URL would end there
        raise UnusableValue("? を含むフォルダーは使えません。", "A folder with ? cannot be used.")
    base: Path = info.context or Path()
    return base / text


def read_database(text: str, info: ValidationInfo) -> str:
    """DATABASE_URL as SQLAlchemy takes it: psycopg for PostgreSQL, an absolute file for SQLite."""
    base: Path = info.context or Path()
    if not text:
        return f"sqlite:///{info.data.get('data_dir', base) / DATABASE_FILE}"
    if text.startswith("postgres") and _password_breaks(text):
        raise _bad_database(text)
    try:
        url = make_url(_several_hosts(text))
    except (ArgumentError, ValueError):
        raise _bad_database(text) from None
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "postgresql+psycopg" and "@" not in (url.host or ""):
        return url.render_as_string(hide_password=False)
    if url.drivername not in {"sqlite", "sqlite+pysqlite"} or url.database in {None, ":memory:"}:
        raise _bad_database(text)
    file = base / (url.database or "")
    if file.parent != info.data.get("data_dir") and not file.parent.is_dir():
        raise UnusableValue(
            f"フォルダーがありません。次を実行してください: mkdir -p '{relative(file.parent)}'",
            f"The folder does not exist. Run: mkdir -p '{relative(file.parent)}'",
            of=Passing,
        )
    return url.set(drivername="sqlite", database=str(file)).render_as_string()


def _password_breaks(text: str) -> bool:
    """Whether a sign in the password ends a part of the address too early (RFC 3986, 3.2.1).

    What is left of the password would be taken for a host, and be shown as one.
    """
    address, _, query = text.partition("://")[2].partition("?")
    user, at, host = address.partition("@")
    if at:
        return "@" in host or any(sign in user for sign in "/#")
    port = re.fullmatch(r"[^:/]*(:[0-9]*)?(/.*)?", address)
    return "@" in query and port is None


_SEVERAL = re.compile(r"([^:/?#]+://)([^/?#]*@)?([^/?#@]+,[^/?#@]+)(/[^?#]*)?(?:\?(.*))?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")


def _several_hosts(text: str) -> str:
    """`host:port,host:port` (libpq, "Connection URIs") as SQLAlchemy reads it, in the query."""
    whole = _SEVERAL.fullmatch(text)
    hosts = [_HOST.fullmatch(host) for host in whole[3].split(",")] if whole else []
    if whole is None or None in hosts:
        return text
    found = [host.groups() for host in hosts if host]
    query = "&".join(
        [
            "host=" + ",".join(name.strip("[]") for name, _ in found),
            "port=" + ",".join(port or "5432" for _, port in found),
            *([whole[5]] if whole[5] else []),
        ]
    )
    return f"{whole[1]}{whole[2] or ''}{whole[4] or '/'}?{query}"


def _bad_database(text: str) -> UnusableValue:
    shape = urls.mask_url(text)
    return UnusableValue(
        f"「{shape}」は使えません。DATABASE_URL=postgresql://ユーザー@ホスト/データベース か "
        f"DATABASE_URL=sqlite:///data/{DATABASE_FILE} の形で書いてください"
        "(パスワードの中の @ は %40、/ は %2F、# は %23、? は %3F)。",
        f'"{shape}" cannot be used. Write DATABASE_URL=postgresql://user@host/database or '
        f"DATABASE_URL=sqlite:///data/{DATABASE_FILE} (in a password @ as %40, / as %2F, # as "
        "%23, ? as %3F).",
    )


def read_key(value: SecretStr | str) -> SecretStr | str:
    """SECRET_KEY: at least 32 bytes that cannot be guessed."""
    text = value if isinstance(value, str) else value.get_secret_value()
    if len(text.encode()) >= 32 and "changeme" not in text.lower() and len(set(text)) >= 8:
        return value
    raise UnusableValue(
        "推測されやすい値です。32バイト以上の乱数にするか、行ごと消して自動で作らせてください。"
        "作り方: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
        "This value is easy to guess. Use at least 32 random bytes, or remove the line and "
        "one is made for you. To make one: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
    )


def read_debug(text: str, info: ValidationInfo) -> bool:
    """DEBUG, FLASK_DEBUG: never on where others can reach the pages."""
    on = text.lower() in {"1", "true", "yes", "on"}
    if on and not urls.leads_home(str(info.data.get("app_base_url", ""))):
        raise UnusableValue(
            "APP_BASE_URL がこのマシンの外を指している間は使えません。行を消してください。",
            "Not allowed while APP_BASE_URL points beyond this machine. Remove the line.",
        )
    return on


def read_rehearsal(text: str, info: ValidationInfo) -> str:
    """TEST_*: only where no mail can leave this machine."""
    if not urls.is_loopback(info.data.get("smtp_host")):
        raise UnusableValue(
            "試験用の設定です。SMTP_HOST が 127.0.0.1 などのループバックのときだけ使えます。"
            "行を消してください。",
            "This is for tests only and needs a loopback SMTP_HOST such as 127.0.0.1. "
            "Remove the line.",
        )
    return text


def read_heartbeat(text: str) -> str:
    """HEARTBEAT_URL: a web address; a query is allowed, no message shows it."""
    urls.parse_web_url(text.partition("?")[0])
    return text


def read_proxy(text: str) -> str:
    """HTTPS_PROXY: a proxy that is spoken to in HTTP, as curl and others read it."""
    urls.parse_web_url(re.sub(r"//[^/@]*@", "//", text))
    if text.startswith("http://"):
        return text.rstrip("/")
    raise UnusableValue(
        f"「{urls.mask_url(text)}」は使えません。http://proxy.example.jp:8080 の形で書いてください。",
        f'"{urls.mask_url(text)}" cannot be used. Write it like http://proxy.example.jp:8080.',
    )


def read_mailbox_flag(text: str, info: ValidationInfo) -> bool:
    """TASK_PROGRESS_MAILBOX: 1 where mail goes to the local mailbox; never for a real server."""
    return text == "1" and urls.is_loopback(info.data.get("smtp_host"))
