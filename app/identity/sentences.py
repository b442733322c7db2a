"""PURE. The sentences of alerts, `status` and `doctor` about installations that disturb each other."""

from collections.abc import Sequence

from app.identity.fingerprints import LOOPBACK, MAILBOX
from app.locale import Both

COMMAND = "task-progress confirm"


def shared_redis(others: Sequence[str], where: Both) -> tuple[Both, Both]:
    """That other installations use this Redis, and what to do."""
    who = ", ".join(others)
    return (
        Both(
            f"別の Task Progress({who})が同じ Redis を使っています{where.ja}。メールは届きますが、"
            "互いのジョブを受け取って渡し直すため遅れることがあります。",
            f"Another Task Progress ({who}) uses the same Redis{where.en}. Mails go out, but each "
            "receives the other's jobs and hands them back, which takes time.",
        ),
        Both(
            "どちらかの CELERY_BROKER_URL と CELERY_RESULT_BACKEND を、"
            "redis://127.0.0.1:6379/2 と /3 のように別の番号にしてください。",
            "Give one of them numbers of its own in CELERY_BROKER_URL and CELERY_RESULT_BACKEND, "
            "such as redis://127.0.0.1:6379/2 and /3.",
        ),
    )


def old_rights() -> tuple[Both, Both]:
    """That Redis knows only what a former version may do there, and what to do."""
    return (
        Both(
            "Redis の権限(ACL)が前の版のものなので、別の Task Progress が同じ Redis を使っていないか、"
            "データベースが古い内容に戻っていないかを確かめられません。メールは送られます。",
            "Redis has the rights (ACL) of a former version, so nobody can see whether another Task "
            "Progress uses it, or whether the database is older than what ran. Mails go out.",
        ),
        Both(
            "この版の deploy/redis.acl を Redis に入れ直してください(docs/scale.ja.md)。",
            "Install deploy/redis.acl of this version in Redis (docs/scale.md).",
        ),
    )


def other_server(known: str, here: str | None) -> Both:
    """That mails would go another way, for `status`, `doctor`, the alert and `confirm`."""
    before, now = _server_words(known), _server_words(here)
    return Both(
        f"SMTP_HOST が{now.ja}です。このデータベースのメールはこれまで{before.ja}から送られたため、"
        "確認があるまで、この設定では1通も送りません。",
        f"SMTP_HOST is {now.en}. The mails of this database went through {before.en} so far: with "
        "this setting none is sent until somebody confirms it.",
    )


def how_to_confirm() -> Both:
    """What to do about another mail server."""
    return Both(
        f"正しければ、この設定のマシンで `{COMMAND}` を実行するか、そのページ「送信の状態」のボタンを"
        "押してください。覚えがなければ、別の .env で動いているプログラムを止めてください。",
        f"If it is right, run `{COMMAND}` on the machine with this setting, or use the button on its "
        'page "Sending status". If not, stop the program that runs with another .env.',
    )


def _server_words(server: str | None) -> Both:
    words = value_words(server)
    return words if server in (MAILBOX, LOOPBACK) else Both(f" {words.ja} ", words.en)


def value_words(value: str | None) -> Both:
    """A setting's value as it is compared (app/identity/fingerprints.py), for people."""
    if value == MAILBOX:
        return Both("ローカルのメールボックス", "the local mailbox")
    if value == LOOPBACK:
        return Both("このマシン自身", "this machine itself")
    return Both("(なし)", "(none)") if value is None else Both(value, value)
