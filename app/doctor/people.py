"""Check of the members' addresses: none is an example that cannot exist."""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.doctor.finding import CheckContext, Finding, green, red
from app.models import Member
from app.outbox.allowlist import in_pilot

# Set aside for examples (RFC 2606, and example.jp by its registry): no mail arrives there.
_DOMAINS = ("example.com", "example.net", "example.org", "example.jp")
_TOP = ("example", "test", "invalid")


def sample_people(case: CheckContext) -> list[Finding]:
    """Red when a real mail server would be given mails to the sample team."""
    if case.config.smtp_host is None or case.config.local_mailbox:
        return []
    members = case.stored(_made_up)
    if members is None:
        return []
    found = [one for one in members if in_pilot(case.config.mail_only_to, one)]
    if found:
        return _mailed(found)
    return green(
        "people", "メンバー: サンプルの人はいません。", "Members: none of the sample's people."
    )


def _made_up(session: Session) -> list[str]:
    address = func.lower(Member.email)
    ends = [f"@{one}" for one in _DOMAINS] + [f".{one}" for one in _TOP]
    wanted = or_(*(address.endswith(one) for one in ends))
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
