"""Importing members. Settings of an existing member stay as the member chose them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app.access.api_tokens import revoke_all
from app.access.sessions import end_all
from app.imports.context import ImportContext, assign, differing
from app.locale import Both
from app.members.admins import LAST_ADMIN, lock_admins
from app.members.changes import begin, plan_anew
from app.mime.address import address_key
from app.models import Member, Role, Team
from app.people.file_records import MemberRecord
from app.people.lookup import OWN_MANAGER
from app.people.values import typed

_COLUMNS = {"team_id": "team"}  # of the file, where it has another name
_Changed = tuple[dict[str, Any], dict[str, Any]]  # the changed cells before, and after


def run(context: ImportContext, found: Sequence[MemberRecord]) -> None:
    """Writes the lines; raises ImportRefused before that if anything is wrong."""
    lock_admins(context.session)
    members = context.members()
    _check(context, found, members)
    _keep_an_admin(context, found, members)
    found = context.sound(found)
    teams = _teams(context, found)
    changes = [_upsert(context, line, members, teams) for line in found]
    context.session.flush()  # the new ones have ids now
    emails = {member.id: member.email for member in members.values()}
    for line, changed in zip(found, changes, strict=True):
        _finish(context, line, members, emails, changed)
    context.session.flush()
    in_file = {address_key(line.email) for line in found}
    context.missing = sorted(
        one.email for key, one in members.items() if one.active and key not in in_file
    )


def _check(
    context: ImportContext, found: Sequence[MemberRecord], members: dict[str, Member]
) -> None:
    """Managers may stand anywhere in the file, so they are looked up only now."""
    seen: dict[str, int] = {}
    for line in found:
        if line.email:
            context.once(seen, address_key(line.email), line.line, "email")
    for line in found:
        manager = address_key(line.manager_email or "")
        if manager and manager not in seen and manager not in members:
            context.fault(line.line, "manager_email", _no_manager(line.manager_email or ""))
        if manager and manager == address_key(line.email):
            context.fault(line.line, "manager_email", OWN_MANAGER)


def _keep_an_admin(
    context: ImportContext, found: Sequence[MemberRecord], members: dict[str, Member]
) -> None:
    """A file that would leave no active admin is refused at each line that takes one away."""
    admins = {key for key, one in members.items() if one.active and one.role == Role.ADMIN}
    after = {address_key(line.email): _stays_admin(line, members) for line in found}
    stays = (admins - after.keys()) | {key for key, is_admin in after.items() if is_admin}
    for line in found:
        if admins and not stays and address_key(line.email) in admins:
            demoted = "role" in line.columns and line.role != Role.ADMIN
            context.fault(line.line, "role" if demoted else "active", LAST_ADMIN)


def _stays_admin(line: MemberRecord, members: dict[str, Member]) -> bool:
    """Whether the line's member is an active admin afterwards; what it does not say stays."""
    member = members.get(address_key(line.email))
    keeps_role = member is not None and "role" not in line.columns
    keeps_active = member is not None and "active" not in line.columns
    role = member.role if member and keeps_role else line.role
    return role == Role.ADMIN and (member.active if member and keeps_active else line.active)


def _teams(context: ImportContext, found: Sequence[MemberRecord]) -> dict[str, Team]:
    teams = {team.name: team for team in context.session.scalars(select(Team))}
    for name in sorted({line.team for line in found if line.team} - teams.keys()):
        teams[name] = Team(name=name)
        context.session.add(teams[name])
    context.session.flush()
    return teams


def _upsert(
    context: ImportContext, line: MemberRecord, members: dict[str, Member], teams: dict[str, Team]
) -> _Changed | None:
    """Everything but the manager. Returns what changed; None for a new member."""
    values: dict[str, Any] = {
        "name": line.name,
        "role": line.role,
        "team_id": teams[line.team].id if line.team else None,
        "active": line.active,
    }
    member = members.get(address_key(line.email))
    if member is None:
        member = Member(email=line.email, created_at=context.now, **values, **line.settings)
        begin(member, context.organisation, context.now)
        members[address_key(line.email)] = member
        context.session.add(member)
        return None
    settings = differing(member, line.settings) if context.overwrite_settings else {}
    said = {key: new for key, new in values.items() if _COLUMNS.get(key, key) in line.columns}
    changes = differing(member, said) | settings
    before = assign(member, changes)
    if changes.get("active") is False:
        end_all(context.session, member, context.who, context.now)
        revoke_all(context.session, member, context.who, context.now)
    if changes.get("active"):
        begin(member, context.organisation, context.now)
    if settings:
        plan_anew(member)
    names = {team.id: team.name for team in teams.values()}
    return _shown(before, names), _shown(changes, names)


def _shown(values: dict[str, Any], teams: dict[int, str]) -> dict[str, Any]:
    """By the columns of the file."""
    found = {key: value for key, value in values.items() if key != "team_id"}
    if "team_id" in values:
        found["team"] = teams.get(values["team_id"])
    for key in ("weekly_day", "weekend", "holidays"):
        if found.get(key) is not None:
            found[key] = typed(key, found[key])
    return found


def _finish(
    context: ImportContext,
    line: MemberRecord,
    members: dict[str, Member],
    emails: dict[int, str],
    changed: _Changed | None,
) -> None:
    """Sets the manager, who may come with the same file; then counts what the line changed."""
    member = members[address_key(line.email)]
    # In a preview the manager's own line may be a faulty one.
    manager = members.get(address_key(line.manager_email)) if line.manager_email else None
    was = member.manager_id
    if "manager_email" in line.columns:
        member.manager_id = manager.id if manager else None
    if changed is None:
        context.add(line, line.email, email=member.email)
        return
    before, after = changed
    known = emails.get(was) if was is not None else None
    said = "manager_email" in line.columns
    if said and address_key(known or "") != address_key(line.manager_email or ""):
        before, after = (
            before | {"manager_email": known},
            after | {"manager_email": manager.email if manager else line.manager_email},
        )
    data = {name: value if value is None else str(value) for name, value in after.items()}
    context.change(line, line.email, before, after, email=member.email, **data)


def _no_manager(email: str) -> Both:
    return Both(
        f"上司「{email}」が、このファイルにもデータベースにもいません。"
        "行を足すか、アドレスを直してください。",
        f'The manager "{email}" is neither in this file nor in the database. '
        "Add a line, or mend the address.",
    )
