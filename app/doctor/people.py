"""Check of the members' addresses: none is an example that cannot exist."""

from contextlib import suppress

from sqlalchemy import func, or_, select

from app.doctor.finding import CheckContext, Finding, green, red
from app.models import Member
from app.outbox.allowlist import in_pilot

# Set aside for examples (RFC 2606, and example.jp by its registry): no mail arrives there.
_DOMAINS = ("example.com", "example.net", "example.org", "example.jp")
_TOP = ("example", "test", "invalid")


def sample_people(case: CheckContext) -> list[Finding]:
    """Red when a real mail server would be given mails to the sample team."""
    if case.config.smtp_host is None or case.config.local_mailbox or not case.has_database:
        return []
    with suppress(Exception):  # the database check tells which
        found = [one for one in _made_up(case) if in_pilot(case.config.mail_only_to, one)]
        return _mailed(found) if found else green("people", *_NOBODY)
    return []


def _made_up(case: CheckContext) -> list[str]:
    address = func.lower(Member.email)
    ends = [f"@{one}" for one in _DOMAINS] + [f".{one}" for one in _TOP]
    wanted = or_(*(address.endswith(one) for one in ends))
    with case.services.db.read() as session:
        query = select(Member.email).where(Member.active, wanted).order_by(Member.id)
        return list(session.scalars(query))


def _mailed(found: list[str]) -> list[Finding]:
    return red(
        "people",
        f"メンバー: 実在しないアドレスの人が {len(found)} 人います({found[0]} など)。"
        "設定されたメールサーバーから、この人たちにも送られます。",
        f"Members: {len(found)} with an address that cannot exist ({found[0]}); the mail server "
        "that is set is given their mails, too.",
        "サンプルを試した data とは別の DATA_DIR で始めるか、/admin/members でその人たちを"
        "無効にしてください。",
        "Start with another DATA_DIR than the sample's, or deactivate them on /admin/members.",
    )


_NOBODY = ("メンバー: サンプルの人はいません。", "Members: none of the sample's people.")
