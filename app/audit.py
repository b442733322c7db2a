"""The audit: who changed what, and when; its words, writing it and reading it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, true
from sqlalchemy.orm import Session

from app.locale import Both
from app.models import Audit, Member
from app.services import Services

RENAMED = "member.rename_address"

# What is noted, in words. A new entry without words is shown by its name.
WHAT: dict[str, Both] = {
    "member.add": Both("メンバーの追加", "member added"),
    "member.set": Both("メンバーの変更", "member changed"),
    RENAMED: Both("メールアドレスの変更", "address changed"),
    "member.admin": Both("管理者にする", "made an admin"),
    "member.deleted": Both("本人による削除", "deleted by the member"),
    "member.team_mails": Both(
        "チームについてのメールの停止・再開", "mails about the team switched"
    ),
    "member.reminders_stopped": Both("リマインダーの停止", "reminders stopped"),
    "member.reminders_restored": Both("リマインダーの再開", "reminders restored"),
    "team.add": Both("チームの追加", "team added"),
    "team.rename": Both("チーム名の変更", "team renamed"),
    "team.remove": Both("チームの削除", "team removed"),
    "task.add": Both("タスクの追加", "task added"),
    "task.edit": Both("タスクの変更", "task changed"),
    "task.cancel": Both("タスクの取りやめ", "task cancelled"),
    "task.close": Both("タスクの完了・取りやめ", "task closed"),
    "task.assign": Both("タスクの担当変更", "task passed on"),
    "leave.add": Both("休暇の追加", "leave added"),
    "leave.remove": Both("休暇の取り消し", "leave removed"),
    "closure.add": Both("休業日の追加", "closure added"),
    "closure.remove": Both("休業日の取り消し", "closure removed"),
    "workday.add": Both("出勤日の追加", "workday added"),
    "workday.remove": Both("出勤日の取り消し", "workday removed"),
    "snooze": Both("あとで知らせる", "snoozed"),
    "settings.set": Both("組織の設定の変更", "organisation's default changed"),
    "pause": Both("送信の一時停止", "sending paused"),
    "identity.change": Both("差出人・アドレス・鍵の変更", "sender, address or key changed"),
    "identity.confirm": Both("設定の変更の確認", "other settings confirmed"),
    "resume": Both("送信の再開", "sending resumed"),
    "clock.accept": Both("時計の確認", "clock accepted"),
    "alert.ack": Both("警告の確認", "alert seen"),
    "nudge": Both("いま知らせる", "reminded now"),
    "mail.asked_again": Both("新しいメールの依頼", "new mail asked for"),
    "purge": Both("古い記録の削除", "old records removed"),
    "restore": Both("バックアップからの復元", "restored from a backup"),
    "outbox.cancel": Both("メールの取り消し", "mail cancelled"),
    "outbox.resend": Both("メールの再送", "mail sent again"),
    "session.begin": Both("サインイン", "signed in"),
    "session.end": Both("サインアウト", "signed out"),
    "session.end_all": Both("すべてのサインアウト", "signed out everywhere"),
    "token.create": Both("API トークンの作成", "API token made"),
    "token.revoke": Both("API トークンの取り消し", "API token revoked"),
    "sign_in.asked": Both("サインインメールの依頼", "sign-in mail asked for"),
    "import.members.add": Both("取り込み: メンバーの追加", "import: member added"),
    "import.members.change": Both("取り込み: メンバーの変更", "import: member changed"),
    "import.tasks.add": Both("取り込み: タスクの追加", "import: task added"),
    "import.tasks.change": Both("取り込み: タスクの変更", "import: task changed"),
    "import.reports.add": Both("取り込み: 報告の追加", "import: report added"),
    "import.reports.change": Both("取り込み: 報告の変更", "import: report changed"),
    "import.days-off.add": Both(
        "取り込み: 休み・出勤日の追加", "import: days off or workdays added"
    ),
    "import.days-off.change": Both(
        "取り込み: 休み・出勤日の変更", "import: days off or workdays changed"
    ),
}


def note(session: Session, *, who: str, what: str, now: datetime, **data: Any) -> Audit:
    """Writes down who did what, with the transaction that does it. `what` is a key of WHAT."""
    entry = Audit(at=now, who=who, what=what, data=data)
    session.add(entry)
    return entry


def note_many(
    session: Session, found: Iterable[tuple[str, dict[str, Any]]], *, who: str, now: datetime
) -> None:
    """Writes down many (what, data) in one statement."""
    rows = [{"at": now, "who": who, "what": what, "data": data} for what, data in found]
    if rows:
        session.execute(insert(Audit), rows)


def entries(
    services: Services, *, limit: int, before: int | None = None, who: str = "", what: str = ""
) -> Sequence[Audit]:
    """The newest first, at most `limit`; with `before`, those with a smaller id."""
    query = select(Audit).order_by(Audit.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Audit.id < before)
    if who:
        query = query.where(Audit.who == who)
    if what:
        query = query.where(Audit.what == what)
    with services.db.read() as session:
        return session.scalars(query).all()


def by_member(session: Session, member: Member) -> ColumnElement[bool]:
    """Which entries say what this member did: by each of their addresses, while it was theirs.

    An address may have been another member's before, and may be after it was changed.
    """
    mine: list[ColumnElement[bool]] = []
    address, until = member.email, None
    renamed = select(Audit).where(Audit.what == RENAMED, Audit.at >= member.created_at)
    for entry in session.scalars(renamed.order_by(Audit.id.desc())):
        if entry.data["email"] == address:
            mine.append(_by(address, entry.at, until))
            address, until = entry.data["before"], entry.at
    return or_(*mine, _by(address, member.created_at, until))


def _by(address: str, since: datetime, until: datetime | None) -> ColumnElement[bool]:
    ends = Audit.at < until if until else true()
    return and_(Audit.who == address, Audit.at >= since, ends)
