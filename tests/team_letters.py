"""Sample facts for the mails about a team: the sample team on 2026-11-24, its own day.

Shared by test_team_letters.py and by look.py, which takes pictures of the same letters.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app import sample, schema
from app.compose.digest import DigestFacts
from app.compose.escalation import EscalationFacts, SilentLine
from app.compose.text import Locale
from app.config import load
from app.digest.team_week import week_of
from app.people.lookup import find
from app.people.settings import organisation, person
from app.services import Services, make

MORNING = datetime(2026, 11, 24, tzinfo=UTC)  # 09:00 in Tokyo
_BASE = "https://progress.example.jp"
_FOOT: Any = {
    "team_url": f"{_BASE}/team",
    "stop_url": f"{_BASE}/u/eyJ1IjoxN30.aRkD3Q.c3RvcC1vci1jaGFuZ2U",
    "reply_to_shown": "Support <support@example.com>",
    "message_origin": "7f3a9c@example.jp",
}


@contextlib.contextmanager
def sample_team() -> Iterator[Services]:
    """The sample team in a database of its own."""
    with TemporaryDirectory() as folder:
        config = load(
            {
                "DATABASE_URL": f"sqlite:///{folder}/sample.sqlite3",
                "DATA_DIR": folder,
                "SECRET_KEY": "a made-up key for tests only: 0123456789 abcdef",
            },
            Path(folder),
        )
        services = make(config)
        schema.upgrade(services.db)
        sample.load(services, MORNING)
        yield services
        services.db.close()


def digest(services: Services, email: str, locale: Locale) -> DigestFacts:
    """The facts of one digest of the sample team."""
    with services.db.read() as session:
        defaults = organisation(session, services.config)
        reader = person(session, defaults, find(session, email))
        week = week_of(session, defaults, reader, date(2026, 11, 24), MORNING)
    return DigestFacts(
        member_id=reader.member.id,
        name=reader.member.name,
        email=email,
        locale=locale,
        local_date=date(2026, 11, 24),
        n=0,
        as_of=MORNING.astimezone(reader.rhythm.zone),
        everybody=reader.member.role == "admin",
        week=week,
        **_FOOT,
    )


def digests() -> dict[str, DigestFacts]:
    """Those that are golden: a lead's in both languages, the admin's, one recapped by an AI."""
    sato = "sato.hanako@example.jp"
    with sample_team() as services:
        lead, in_english = digest(services, sato, "ja"), digest(services, sato, "en")
        admin = digest(services, "shacho@example.jp", "ja")
    lines = [
        "DBバックアップ手順の見直しがベンダーの回答待ちです。",
        "伊藤さんの報告が8営業日ありません。",
    ]
    return {
        "digest-sato-ja": lead,
        "digest-sato-en": in_english,
        "digest-shacho-ja": admin,
        "digest-sato-ai": replace(lead, recap=lines, recap_by="ai"),
    }


def escalation(locale: Locale, *silent: SilentLine) -> EscalationFacts:
    """The facts of one escalation to 佐藤 花子."""
    return EscalationFacts(
        member_id=1,
        name="佐藤 花子",
        email="sato.hanako@example.jp",
        locale=locale,
        local_date=date(2026, 11, 24),
        n=0,
        silent=silent,
        **_FOOT,
    )


ITO = SilentLine(
    member_id=5,
    name="伊藤 さくら",
    workdays=8,
    tasks=["Fix login redirect loop", "ログイン画面の改修"],
    last_on=date(2026, 11, 10),
    last_title="Fix login redirect loop",
    last_text="半分ほど進みました。",
    lead_name=None,
)
SMITH = SilentLine(
    member_id=7,
    name="Smith, John",
    workdays=7,
    tasks=["ドキュメント整備"],
    last_on=None,
    last_title=None,
    last_text=None,
    lead_name="山本 直樹",
)
ESCALATIONS = {
    "escalation-two-ja": escalation("ja", SMITH, ITO),
    "escalation-two-en": escalation("en", SMITH, ITO),
    "escalation-one-en": escalation("en", ITO),
}
