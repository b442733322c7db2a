"""Whether a program may speak for this database: asked when it starts, and before it sends.

The database keeps fingerprints of SECRET_KEY, mail server, MAIL_FROM and APP_BASE_URL
(`fingerprints` compares). Another key ends the program; with another mail server nothing is sent
until an admin confirms it; the other two raise an alert.
"""

import hashlib
import hmac
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app import audit, schema
from app.config import SECRET_KEY_FILE, Config, load_or_exit
from app.config.sources import relative
from app.db import DatabaseDown, insert_new, put
from app.identity import fingerprints
from app.identity.fingerprints import (
    LOOPBACK,
    MAILBOX,
    SERVER,
    Comparison,
    Here,
    SettingChange,
)
from app.identity.sentences import COMMAND, how_to_confirm, other_server, value_words
from app.locale import Both
from app.models import OutboxMail, Service, Setting, State
from app.refused import Code, Refused
from app.services import Services, make
from app.util.urls import is_loopback, leads_home

log = logging.getLogger(__name__)

KEY = "fingerprints"  # in `settings`
NOTES = "mail_server_changed@"  # rows of `service`, by machine: who would send with another server


class UnknownKey(Refused):
    """The links of this database are signed with another SECRET_KEY."""


def settings_of(config: Config, installation: str) -> Here:
    """What these settings have to compare."""
    previous = config.secret_key_previous
    pages = LOOPBACK if leads_home(config.app_base_url) else config.app_base_url
    return Here(
        key=_hash(config.secret_key.get_secret_value(), installation),
        previous_key=_hash(previous.get_secret_value(), installation) if previous else None,
        mail_server=server(config),
        mail_from=config.mail_from,
        pages=pages,
    )


def server(config: Config) -> str | None:
    """The mail server as it is compared and shown."""
    if config.local_mailbox:
        return MAILBOX
    if is_loopback(config.smtp_host):
        return LOOPBACK
    return f"{config.smtp_host.lower()}:{config.smtp_port}" if config.smtp_host else None


def compare_with_database(services: Services) -> Comparison:
    """What differs here; nothing, while the database knows nothing. Raises DatabaseDown."""
    with services.db.read() as session:
        row = session.get(Setting, KEY)
        if row is None:
            return Comparison()
        here = settings_of(services.config, services.installation.id())
        verdict = _compared(session, row.value, here)
    if verdict.foreign_key and (made := services.config.new_key_file) is not None:
        made.unlink(missing_ok=True)  # made by this process in the place of the one that was lost
    return verdict


def check(services: Services) -> None:
    """Raises UnknownKey where the links are signed with another key. Raises DatabaseDown."""
    if compare_with_database(services).foreign_key:
        raise UnknownKey(Code.UNKNOWN_KEY, _unknown_key(services))


def check_or_exit() -> None:
    """The same for the start of the pages: exit code EX_CONFIG, after which no unit starts them
    again. A database that is away or not ready is left to the pages.
    """
    services = make(load_or_exit(service=True))
    try:
        schema.check(services.db)
        check(services)
    except UnknownKey as error:
        print(*error.sentence, sep="\n", file=sys.stderr)
        raise SystemExit(os.EX_CONFIG) from None
    except (schema.SchemaError, DatabaseDown) as error:
        log.warning("the database is not ready yet: %s", error)
    finally:
        services.close()


def may_send(session: Session, services: Services, now: datetime) -> bool:
    """Whether this program may send, as a part of the transaction that claims mails."""
    here = settings_of(services.config, services.installation.id_in(session))
    row = session.get(Setting, KEY)
    if row is None:
        values = {"value": fingerprints.taken(here), "changed_by": "installation"}
        insert_new(session, Setting, [{"key": KEY, **values, "changed_at": now}])
        row = session.get_one(Setting, KEY)
    known = row.value
    verdict = _compared(session, known, here)
    if not verdict.may_send:
        what = "SECRET_KEY" if verdict.foreign_key else "mail server"
        log.error("nothing is sent: the database knows another %s (%s)", what, COMMAND)
        return False
    if fingerprints.compare(known, here).known_server != verdict.known_server:
        known = {**known, "mail_server": None}  # it never took a mail
    learnt = fingerprints.learnt(known, here)
    if learnt != row.value:
        _store(session, learnt, who="installation", now=now)
        data = _noted(verdict, key=learnt["keys"] != row.value["keys"])
        audit.note(session, who="installation", what="identity.change", now=now, **data)
    return True


def confirm(services: Services, *, who: str, now: datetime) -> None:
    """Confirmed by an admin: the settings of this program are those of the database from now on.

    Other keys stay known while one of this program's is; otherwise their links and sessions end.
    """
    with services.db.write() as session:
        here = settings_of(services.config, services.installation.id_in(session))
        row = session.get(Setting, KEY)
        stored = fingerprints.taken(here)
        verdict = Comparison()
        if row is not None:
            verdict = fingerprints.compare(row.value, here)
            if not verdict.foreign_key:
                stored["keys"] = fingerprints.learnt(row.value, here)["keys"]
        _store(session, stored, who=who, now=now)
        session.execute(delete(Service).where(Service.name.startswith(NOTES)))
        data = _noted(verdict, key=verdict.foreign_key)
        audit.note(session, who=who, what="identity.confirm", now=now, **data)


def another_server(services: Services) -> Both | None:
    """Where this program sends nothing since its mail server is another: that, and what to do."""
    known = compare_with_database(services).known_server
    if known is None:
        return None
    said, todo = other_server(known, server(services.config)), how_to_confirm()
    return Both(f"{said.ja}{todo.ja}", f"{said.en} {todo.en}")


def sentence(change: SettingChange) -> Both:
    """What is another one here than the database knows."""
    if change.setting == SERVER:
        return other_server(str(change.known), change.here)
    known, here = value_words(change.known), value_words(change.here)
    return Both(
        f"{change.setting} は {here.ja} です。これまでは {known.ja} でした。",
        f"{change.setting} is {here.en}; so far it was {known.en}.",
    )


def _compared(session: Session, known: Mapping[str, Any], here: Here) -> Comparison:
    """What differs. A mail server is known from its first accepted mail on: an operator who had mistyped
    SMTP_HOST at first need confirm nothing.
    """
    verdict = fingerprints.compare(known, here)
    sent = select(OutboxMail.id).where(OutboxMail.state == State.ACCEPTED).limit(1)
    if verdict.server is None or session.scalar(sent) is not None:
        return verdict
    return replace(verdict, server=None)


def _unknown_key(services: Services) -> Both:
    file = relative(services.config.data_dir / SECRET_KEY_FILE)
    head = Both(
        "SECRET_KEY が、このデータベースのリンクに署名した鍵と違います。",
        "SECRET_KEY is not the key that signed the links of this database.",
    )
    if services.config.new_key_file is not None:
        head = Both(
            f"{file} がありません。このデータベースのリンクに署名した鍵です。",
            f"{file} is missing: the key that signed the links of this database.",
        )
    return Both(
        f"{head.ja}バックアップと一緒に保管した鍵を {file} か .env の SECRET_KEY に戻してください。"
        "鍵を替えるときは、前の鍵を SECRET_KEY_PREVIOUS に書きます。前の鍵がなければ "
        f"`{COMMAND} --new-key` で新しい鍵に替えられますが、送ったメールのリンクとサインインは"
        "すべて無効になります。",
        f"{head.en} Bring back the one kept with the backup, into {file} or as SECRET_KEY in .env. To "
        "replace it, put the one before into SECRET_KEY_PREVIOUS. Without it, "
        f"`{COMMAND} --new-key` goes on with a new one: all links in mails and all sessions end.",
    )


def _noted(verdict: Comparison, *, key: bool) -> dict[str, Any]:
    """For the audit, as every change of settings stands there; `key`: SECRET_KEY is another one."""
    rows = [{"key": one.setting, "before": one.known, "after": one.here} for one in verdict.changes]
    return {"changes": rows} | ({"key": True} if key else {})


def _store(session: Session, value: Mapping[str, Any], *, who: str, now: datetime) -> None:
    values = {"value": dict(value), "changed_by": who, "changed_at": now}
    put(session, Setting, {"key": KEY}, values)


def _hash(key: str, installation: str) -> str:
    """HMAC-SHA-256 (RFC 2104) under the key itself: says nothing of it, and differs elsewhere."""
    return hmac.new(key.encode(), installation.encode(), hashlib.sha256).hexdigest()
