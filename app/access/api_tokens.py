"""API tokens: a program acts as its owner, within scopes; made, listed, ended, and who is calling.

Like a session, a token is a row that keeps only the hash of its key; the key is shown once.
"""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app import audit
from app.access.sessions import ABOUT_ME, Me, hash_of, me_of
from app.compose.text import composed
from app.locale import Both
from app.models import ApiToken, Member
from app.people.lookup import find
from app.people.values import ValuesRefused
from app.refused import Code, Refused
from app.services import Services
from app.util.parse import shown

KEY = re.compile(r"tpk_[A-Za-z0-9_-]{43}", re.ASCII)
SHOWN = 12  # of the key's characters, in lists
MAX_NAME = 50
MOST = 20  # living ones of a member: each has a quota of calls of its own
LASTS = timedelta(days=365)
LASTS_AT_MOST = timedelta(days=5 * 366)
USE_NOTED = timedelta(hours=1)  # a read writes nothing more often than that


class Scope(StrEnum):
    """What a token may do; its owner's own rights are the other limit."""

    READ = "read"
    REPORT = "report"
    SEND = "send"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token a call came with."""

    me: Me
    token_id: int
    name: str
    scopes: frozenset[Scope]
    test: bool

    @property
    def who(self) -> str:
        """The actor, for the audit."""
        return f"token {self.name} of {self.me.email}"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as lists show it. `ended`: it was revoked, or its last day is over."""

    id: int
    owner: str
    name: str
    shown: str
    scopes: Sequence[str]
    test: bool
    created_at: datetime
    expires_on: date
    last_used_at: datetime | None
    ended: bool


class NoSuchToken(Refused):
    """No token has this id, or it is another member's."""

    def __init__(self) -> None:
        sentence = Both("このトークンはありません。", "There is no such token.")
        super().__init__(Code.TOKEN_GONE, sentence)


def create(
    services: Services,
    email: str,
    name: str,
    scopes: Collection[str],
    *,
    who: str,
    now: datetime,
    expires_on: date | None = None,
    test: bool = False,
) -> str:
    """A new token of the member; returns its key, which is stored nowhere.

    `expires_on`: its last day, by default a year from now. Raises NoSuchMember; ValuesRefused with
    all faults.
    """
    name, today = composed(name.strip()), services.config.day_of(now)
    last = expires_on or today + LASTS
    faults = _faults(name, scopes, last, today)
    key = f"tpk_{secrets.token_urlsafe(32)}"
    with services.db.write() as session:
        member = find(session, email)
        session.refresh(member, with_for_update=True)
        if not member.active:
            faults.append(("email", _NOT_ACTIVE))
        living = _living(session, member.id, today)
        if name in {one.name for one in living}:
            faults.append(("name", _TWICE))
        if len(living) >= MOST:
            faults.append(("name", _TOO_MANY))
        if faults:
            raise ValuesRefused(faults)
        token = ApiToken(
            key_hash=hash_of(key),
            shown=key[:SHOWN],
            user_id=member.id,
            name=name,
            scopes=",".join(scope for scope in Scope if scope in scopes),
            test=test,
            created_at=now,
            expires_on=last,
        )
        session.add(token)
        session.flush()
        data = {"email": member.email, "token": token.id, "name": name, "scopes": token.scopes}
        audit.note(session, who=who, what="token.create", now=now, **data)
    return key


def listing(services: Services, now: datetime, member_id: int | None = None) -> list[TokenRow]:
    """The tokens of a member, or of all, the newest first."""
    today = services.config.day_of(now)
    query = select(ApiToken, Member.email).join(Member, Member.id == ApiToken.user_id)
    if member_id is not None:
        query = query.where(ApiToken.user_id == member_id)
    with services.db.read() as session:
        rows = session.execute(query.order_by(ApiToken.id.desc())).all()
    return [
        TokenRow(
            id=one.id,
            owner=email,
            name=one.name,
            shown=one.shown,
            scopes=one.scopes.split(","),
            test=one.test,
            created_at=one.created_at,
            expires_on=one.expires_on,
            last_used_at=one.last_used_at,
            ended=one.revoked_at is not None or one.expires_on < today,
        )
        for one, email in rows
    ]


def revoke(
    services: Services, token_id: int, *, who: str, now: datetime, owner: int | None = None
) -> None:
    """The token works no more; twice is as good as once. `owner`: only a token of this member.

    Raises NoSuchToken.
    """
    with services.db.write() as session:
        token = session.get(ApiToken, token_id)
        if token is None or (owner is not None and token.user_id != owner):
            raise NoSuchToken
        _end(session, [token], session.get_one(Member, token.user_id).email, who, now)


def revoke_all(session: Session, member: Member, who: str, now: datetime) -> None:
    """None of the member's tokens works any more: the member leaves."""
    theirs = select(ApiToken).where(ApiToken.user_id == member.id)
    _end(session, session.scalars(theirs).all(), member.email, who, now)


def caller(services: Services, key: str, now: datetime) -> Caller:
    """Who calls with this key. Raises Refused: no token, expired, revoked."""
    if not KEY.fullmatch(key):
        raise Refused(Code.TOKEN_UNKNOWN, _NO_TOKEN)
    with services.db.read() as session:
        row = session.execute(
            select(ApiToken, Member, *ABOUT_ME)
            .join(Member, Member.id == ApiToken.user_id)
            .where(ApiToken.key_hash == hash_of(key))
        ).one_or_none()
        if row is None:
            raise Refused(Code.TOKEN_UNKNOWN, _NO_TOKEN)
        token, member, *about = row
        if token.revoked_at is not None or not member.active:
            raise Refused(Code.TOKEN_REVOKED, _REVOKED)
        if token.expires_on < services.config.day_of(now):
            raise Refused(Code.TOKEN_EXPIRED, _EXPIRED)
    me = me_of(services.config, member, *about)
    if token.last_used_at is None or abs(now - token.last_used_at) >= USE_NOTED:
        _note_use(services, token.id, now)
    scopes = frozenset(map(Scope, token.scopes.split(",")))
    return Caller(me, token.id, token.name, scopes, token.test)


def _note_use(services: Services, token_id: int, now: datetime) -> None:
    """By whichever of several calls comes first."""
    not_lately = or_(
        ApiToken.last_used_at.is_(None),
        ApiToken.last_used_at <= now - USE_NOTED,
        ApiToken.last_used_at >= now + USE_NOTED,  # a clock ran ahead
    )
    with services.db.write() as session:
        used = update(ApiToken).where(ApiToken.id == token_id, not_lately)
        session.execute(used.values(last_used_at=now))


def _end(
    session: Session, tokens: Collection[ApiToken], email: str, who: str, now: datetime
) -> None:
    for token in tokens:
        if token.revoked_at is None:
            token.revoked_at = now
            data = {"email": email, "token": token.id, "name": token.name}
            audit.note(session, who=who, what="token.revoke", now=now, **data)


def _living(session: Session, member_id: int, today: date) -> Sequence[ApiToken]:
    return session.scalars(
        select(ApiToken).where(
            ApiToken.user_id == member_id,
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_on >= today,
        )
    ).all()


def _faults(name: str, scopes: Collection[str], last: date, today: date) -> list[tuple[str, Both]]:
    faults: list[tuple[str, Both]] = []
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        faults.append(("name", _NAME))
    if unknown := [scope for scope in scopes if scope not in tuple(Scope)]:
        faults.append(("scopes", _no_scope(unknown[0])))
    elif not scopes:
        faults.append(("scopes", _NO_SCOPE))
    if not today <= last <= today + LASTS_AT_MOST:
        faults.append(("expires_on", _LASTS))
    return faults


def _no_scope(word: str) -> Both:
    known = ", ".join(Scope)
    return Both(
        f"「{shown(word)}」という範囲はありません。次のどれかです: {known}",
        f'There is no scope "{shown(word)}". One of: {known}',
    )


_NO_TOKEN = Both(
    "有効なトークンではありません。「Authorization: Bearer tpk_…」の形で、途中で切れていないか"
    "確かめてください。",
    'This is no valid token. Send it as "Authorization: Bearer tpk_…", and check that it is whole.',
)
_EXPIRED = Both(
    "このトークンは期限が過ぎています。新しいトークンを作ってください。",
    "This token has expired. Make a new one.",
)
_REVOKED = Both(
    "このトークンは取り消されたか、持ち主が無効になっています。新しいトークンを作ってください。",
    "This token was revoked, or its owner has left. Make a new one.",
)
_NAME = Both(
    f"使い道が分かる名前を、1行{MAX_NAME}文字までで書いてください。",
    f"Write what it is for, on one line of at most {MAX_NAME} characters.",
)
_TWICE = Both(
    "同じ名前の有効なトークンがあります。別の名前にするか、先に取り消してください。",
    "A living token has this name. Choose another one, or revoke that one first.",
)
_TOO_MANY = Both(
    f"有効なトークンは1人{MOST}個までです。使わないものを先に取り消してください。",
    f"A member has at most {MOST} living tokens. Revoke one that is not used first.",
)
_NO_SCOPE = Both("できることを1つ以上選んでください。", "Choose at least one scope.")
_LASTS = Both(
    "今日から5年後までの日付にしてください。", "Choose a day from today to five years from now."
)
_NOT_ACTIVE = Both("このメンバーは無効です。", "The member is not active.")
