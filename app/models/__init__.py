"""Tables and constraints. The constraints keep the promises; nothing here reads a clock or sends a mail."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Literal, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Computed,
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    Time,
    UniqueConstraint,
    case,
    false,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.channel import MAIL
from app.models.access import SignInLink as SignInLink
from app.models.access import WebSession as WebSession
from app.models.ai import AiBudget as AiBudget
from app.models.ai import Recap as Recap
from app.models.ai import RecapState as RecapState
from app.models.api import ApiCall as ApiCall
from app.models.api import ApiToken as ApiToken
from app.models.api import Via as Via
from app.models.base import LARGEST_ID as LARGEST_ID
from app.models.base import Base as Base
from app.models.base import WithId, one_of, partial_index
from app.models.days import DaysOff as DaysOff
from app.models.days import ExtraWorkday as ExtraWorkday
from app.models.days import Spans as Spans
from app.models.mail_events import MailEvent as MailEvent
from app.models.operation import TICK as TICK
from app.models.operation import TIMER as TIMER
from app.models.operation import Alert as Alert
from app.models.operation import Audit as Audit
from app.models.operation import Service as Service
from app.models.operation import Setting as Setting
from app.models.sent_forms import SentForm as SentForm
from app.models.uploads import Upload as Upload
from app.rules.decision import Reason, Verdict
from app.rules.hours import Frequency
from app.rules.unreported import REPORT_EVERY


class Role(StrEnum):
    """What a member may see and do."""

    MEMBER = "member"
    LEAD = "lead"
    ADMIN = "admin"


class Kind(StrEnum):
    """What an outbox mail is."""

    REMINDER = "reminder"
    ASKED_REMINDER = "asked_reminder"
    WEEKLY_DIGEST = "weekly_digest"
    ESCALATION = "escalation"
    SIGN_IN = "sign_in"
    ALERT = "alert"
    ADDRESS_CHANGED = "address_changed"
    TOKEN_NOTICE = "token_notice"  # noqa: S105 - a kind of mail


class State(StrEnum):
    """Where an outbox mail is in its life (docs/architecture.md has the picture)."""

    READY = "ready"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    FAILED = "failed"
    DEAD = "dead"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


# As the index of open mails says it, to the letter: only so do the databases take that index.
OPEN: ColumnElement[bool] = literal_column("NOT outbox.ended")

# Mails that a person waits for: they go before all others. In the words of their index.
_URGENT = "kind IN ('sign_in', 'alert', 'asked_reminder') AND NOT ended"
URGENT: ColumnElement[bool] = literal_column(
    "(outbox.kind IN ('sign_in', 'alert', 'asked_reminder') AND NOT outbox.ended)"
)

# Mails that ended without being accepted. Both columns change once, with the end.
UNSENT: ColumnElement[bool] = literal_column("(outbox.ended AND outbox.accepted_at IS NULL)")

# In the words of its index, again.
_LEAD_IS_DUE = "active AND led_through < decided_through"
LEAD_IS_DUE: ColumnElement[bool] = literal_column(
    "users.active AND users.led_through < users.decided_through"
)

ENDS = frozenset(State) - {State.READY, State.SENDING, State.IN_DOUBT}


ReportEvery = Literal["daily", "weekly"]
StatusWord = Literal["on_track", "at_risk", "blocked", "done"]  # what a report says of its task
STATUSES: tuple[StatusWord, ...] = get_args(StatusWord)


class Team(WithId):
    """A team of members."""

    __tablename__ = "teams"

    name: Mapped[str] = mapped_column(String(200), unique=True)


class Member(WithId):
    """A person. NULL in a setting means: the organisation's default."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(500))
    role: Mapped[str] = mapped_column(String(10), default=Role.MEMBER)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id"))
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    active: Mapped[bool] = mapped_column(default=True)
    locale: Mapped[str | None] = mapped_column(String(5))
    timezone: Mapped[str | None] = mapped_column(String(64))
    weekend: Mapped[str | None] = mapped_column(String(30))  # "sat,sun"; "" = none
    holidays: Mapped[str | None] = mapped_column(String(60))  # "GB-ENG"; "" = none
    notify_frequency: Mapped[str | None] = mapped_column(String(10))
    notify_at: Mapped[time | None] = mapped_column(Time)
    weekly_day: Mapped[int | None]  # Monday 0
    quiet_hours_start: Mapped[time | None] = mapped_column(Time)
    quiet_hours_end: Mapped[time | None] = mapped_column(Time)
    paused_until: Mapped[date | None] = mapped_column(Date)  # the first date with mail again
    # A lead's own word on the two mails about the team; NULL: they come.
    weekly_digest: Mapped[bool | None]
    escalations: Mapped[bool | None]
    suppressed_reason: Mapped[str | None] = mapped_column(Text)
    # Refusals of outbox mails up to this id no longer count: an operator lifted a suppression.
    refusals_after: Mapped[int | None] = mapped_column(BigInteger)
    # Every local date up to and including this one has its decision, or is before the member's
    # first one. It never goes back, so a change of time zone decides no date twice.
    decided_through: Mapped[date] = mapped_column(Date)
    # The next hour, UTC; NULL: look at the next plan (the hour may be another).
    next_due_at: Mapped[datetime | None]
    # A lead's or admin's dates on which the mails about the team are settled: each date follows
    # once `decided_through` has reached it. NULL: leads no member.
    led_through: Mapped[date | None] = mapped_column(Date)
    # Since when the member is active here; NULL: since `created_at`. Silence before it
    # is not escalated.
    active_since: Mapped[date | None] = mapped_column(Date)
    created_at: Mapped[datetime]

    team: Mapped[Team | None] = relationship()
    manager: Mapped["Member | None"] = relationship(remote_side="Member.id")

    __table_args__ = (
        Index("uq_users_email", func.lower(text("email")), unique=True),
        Index("ix_users_manager_id", "manager_id"),
        Index("ix_users_team_id", "team_id"),
        Index("ix_users_next_due_at", "next_due_at", postgresql_where=text("active")),
        partial_index("ix_users_led_through", "id", where=_LEAD_IS_DUE),
        one_of("role", Role),
        one_of("notify_frequency", Frequency),
        CheckConstraint("weekly_day BETWEEN 0 AND 6", name="weekly_day_known"),
        CheckConstraint(
            "(quiet_hours_start IS NULL) = (quiet_hours_end IS NULL)", name="quiet_hours_pair"
        ),
    )


class Task(WithId):
    """A task that a member works on."""

    __tablename__ = "tasks"

    ref: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str] = mapped_column(Text)
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    assigned_on: Mapped[date | None] = mapped_column(Date)  # NULL: since its start
    status: Mapped[str] = mapped_column(String(10), default="open")
    closed_on: Mapped[date | None] = mapped_column(Date)
    # When the task became known here; NULL: long ago. Silence before it does not count.
    added_on: Mapped[date | None] = mapped_column(Date)
    start_on: Mapped[date] = mapped_column(Date)
    due_on: Mapped[date | None] = mapped_column(Date)
    report_every: Mapped[ReportEvery] = mapped_column(String(10), default="daily")

    assignee: Mapped[Member | None] = relationship()

    __table_args__ = (
        one_of("status", ["open", "done", "cancelled"]),
        one_of("report_every", list(REPORT_EVERY)),
        Index("ix_tasks_assignee_id", "assignee_id"),
    )


class Report(WithId):
    """One progress report on one task."""

    __tablename__ = "reports"

    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    reporter_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    counts_for: Mapped[date] = mapped_column(Date)
    percent: Mapped[int]
    status: Mapped[StatusWord] = mapped_column(String(10))
    text: Mapped[str] = mapped_column(Text)
    import_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    form_key: Mapped[str | None] = mapped_column(String(40))  # of the form that wrote it
    via: Mapped[str] = mapped_column(String(10), default=Via.WEB, server_default=Via.WEB)
    token_id: Mapped[int | None] = mapped_column(BigInteger)  # of the API's, or an agent's
    # What the task was before this report, for undoing it; NULL: it cannot be undone.
    task_was: Mapped[str | None] = mapped_column(String(10))
    task_was_closed_on: Mapped[date | None] = mapped_column(Date)
    created_at: Mapped[datetime]

    reporter: Mapped[Member | None] = relationship()

    __table_args__ = (
        CheckConstraint("percent BETWEEN 0 AND 100", name="percent_range"),
        one_of("status", list(STATUSES)),
        one_of("via", Via),
        Index("ix_reports_task_id_counts_for", "task_id", "counts_for"),
        Index("ix_reports_reporter_id_counts_for", "reporter_id", "counts_for"),
    )


class DecisionRow(WithId):
    """What was decided for one member and local date, and why."""

    __tablename__ = "decisions"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    slot: Mapped[str] = mapped_column(String(10), default="reminder")
    local_date: Mapped[date] = mapped_column(Date)
    verdict: Mapped[str] = mapped_column(String(4))
    reason: Mapped[str | None] = mapped_column(String(30))
    # What the rule saw: frequency, time zone, task refs with workdays silent.
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime]
    decided_at: Mapped[datetime]
    # A step of escalation: the id of whom it tells, in that person's mail of which local date.
    told_id: Mapped[int | None] = mapped_column(BigInteger)
    told_on: Mapped[date | None] = mapped_column(Date)
    # Made before its time, by a rehearsal or a clock that ran ahead (app/outbox/early_decisions.py).
    provisional: Mapped[bool] = mapped_column(default=False, server_default=false())

    member: Mapped[Member] = relationship()

    __table_args__ = (
        UniqueConstraint("user_id", "slot", "local_date"),
        one_of("slot", ["reminder", "digest", "escalation"]),
        one_of("verdict", Verdict),
        one_of("reason", Reason),
        CheckConstraint("(verdict = 'skip') = (reason IS NOT NULL)", name="skip_says_why"),
        Index("ix_decisions_local_date_verdict", "local_date", "verdict"),
        partial_index("ix_decisions_told", "told_id", "told_on", where="told_id IS NOT NULL"),
    )


class OutboxMail(WithId):
    """One mail to send, and what became of it. Instants are those of the real clock."""

    __tablename__ = "outbox"

    dedupe_key: Mapped[str] = mapped_column(String(200), unique=True)
    decision_id: Mapped[int | None] = mapped_column(ForeignKey("decisions.id", ondelete="SET NULL"))
    resend_of: Mapped[int | None] = mapped_column(ForeignKey("outbox.id", ondelete="SET NULL"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    channel: Mapped[str] = mapped_column(String(12), default=MAIL, server_default=MAIL)
    kind: Mapped[str] = mapped_column(String(20))
    local_date: Mapped[date] = mapped_column(Date)
    n: Mapped[int] = mapped_column(default=0)
    to_addr: Mapped[str] = mapped_column(String(320))
    message_id: Mapped[str] = mapped_column(String(255))
    date_header: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default=State.READY)
    # Made of the state by the database. An index that looked at the state itself would have to be
    # written, and all others with it, at each step of a mail; this one only at its end.
    ended: Mapped[bool] = mapped_column(
        Computed("state NOT IN ('ready', 'sending', 'in_doubt')", persisted=True)
    )
    reason: Mapped[str | None] = mapped_column(Text)
    # Waits for an admin's confirmation: "brake" (an unusual number) or "restore".
    held: Mapped[str | None] = mapped_column(String(10))
    # A rehearsal (`--now`, `--date`) plans and delivers as if it were this many seconds later; its
    # mails have the number -1, so that those of the day itself find their own free.
    clock_shift: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    expires_at: Mapped[datetime]
    claims: Mapped[int] = mapped_column(default=0)
    retries: Mapped[int] = mapped_column(default=0)
    doubts: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None]
    subject: Mapped[str | None] = mapped_column(Text)
    task_refs: Mapped[list[str] | None] = mapped_column(JSON)
    sent_bytes: Mapped[bytes | None] = mapped_column(LargeBinary)  # see outbox/compression.py
    response: Mapped[str | None] = mapped_column(Text)
    accepted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    member: Mapped[Member | None] = relationship()
    decision: Mapped[DecisionRow | None] = relationship()

    __table_args__ = (
        one_of("kind", Kind),
        one_of("state", State),
        one_of("held", ["brake", "restore"]),
        CheckConstraint("doubts <= 2", name="doubts_bounded"),
        CheckConstraint(
            "(state IN ('sending', 'in_doubt')) = (lease_token IS NOT NULL)", name="lease_held"
        ),
        CheckConstraint("(state = 'accepted') = (accepted_at IS NOT NULL)", name="accepted_when"),
        partial_index("ix_outbox_by_hour", "not_before", "id", where="NOT ended"),
        partial_index("ix_outbox_urgent", "not_before", "id", where=_URGENT),
        partial_index("ix_outbox_unsent", "id", where="(ended AND accepted_at IS NULL)"),
        Index("ix_outbox_user_id_local_date", "user_id", "local_date"),
        # Rows come in the order of both, so a BRIN finds a day's; writing it costs next to nothing.
        Index("ix_outbox_local_date", "local_date", postgresql_using="brin"),
        Index("ix_outbox_created_at", "created_at", postgresql_using="brin"),
        # For the foreign keys, when old rows are removed.
        Index("ix_outbox_decision_id", "decision_id", postgresql_using="brin"),
        partial_index("ix_outbox_resend_of", "resend_of", where="resend_of IS NOT NULL"),
    )


# When a mail was due first: a retry moves not_before, and the Date stays, except in a rehearsal.
FIRST_DUE: ColumnElement[datetime] = case(
    (OutboxMail.clock_shift == 0, OutboxMail.date_header), else_=OutboxMail.created_at
)

# Mails that remind a member of their tasks, by themselves or asked for.
REMINDERS: ColumnElement[bool] = OutboxMail.kind.in_([Kind.REMINDER, Kind.ASKED_REMINDER])
