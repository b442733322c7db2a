"""What agents can do: eight tools, on the functions of /api/v1 and the use cases below them.

A member is named by e-mail address: agents speak of people, not of numbers.
"""

from datetime import date, datetime
from urllib.parse import urlencode

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.mcp.answers import Refs, Sentence, Text, cut_text
from app.api.mcp.tool import Found, tool
from app.api.operation import Answered, Asked, Call, Day, RowId
from app.api.resources import days_off, people, reports, sending
from app.api.resources.reports import ReportMade
from app.board import team as board_team
from app.board import today as board_today
from app.board.team import SORTED
from app.board.today import StandingNow
from app.members import own_tasks, seen
from app.members.teams import NoSuchTeam
from app.people.lookup import NoSuchMember
from app.reports.from_mail import PageTask
from app.why.reminder import explain

_MOST = 15  # members of a team in one answer: as a rule so many fit
_PLAIN = r"^[\x21-\x7e]+$"
_WHOSE = "the member's e-mail address; without it the owner of the token"
_NEXT = "`before` of the call that goes on behind these and what `cut` left out; null at the end"


def _email(words: str = _WHOSE) -> str | None:
    return Field(None, max_length=320, description=words)


class NothingAsked(Asked):
    """No arguments."""


class BeforeAsked(Asked):
    """Which piece of a long list."""

    before: RowId | None = Field(None, description="`next` of the answer before; go on there")


# --- tasks and reports -----------------------------------------------------------------------


class MyTask(Answered):
    """One of the owner's open tasks, and what its last report says."""

    ref: str
    title: Text
    state: str = Field(description="unreported: waits for a report; reported; open: nothing is due")
    due_on: date | None
    report_every: str
    percent: int | None
    status: str | None = Field(description="on_track, at_risk, blocked, done")
    reported_for: date | None


class MyTaskList(Answered):
    """The open tasks, those that wait for a report first."""

    today: date
    items: list[MyTask]


@tool(
    "My open tasks",
    "The open tasks of the token's owner, those that wait for a report first.",
    Scope.READ, NothingAsked, MyTaskList,
)  # fmt: skip
def my_tasks(call: Call, _: NothingAsked) -> Found:
    """As the first page shows them."""
    found = own_tasks.my_tasks(call.services, call.caller.me.id, call.now)
    return Found(MyTaskList(today=found.today, items=[*map(_task, found.open)]), "/")


def _task(one: PageTask) -> MyTask:
    task, report = one.detail.task, one.detail.report
    return MyTask(
        ref=task.ref,
        title=task.title,
        state=one.state,
        due_on=task.due_on,
        report_every=task.report_every,
        percent=report.percent if report else None,
        status=report.status if report else None,
        reported_for=report.counts_for if report else None,
    )


class ProgressMade(ReportMade):
    """A report on a task of one's own, and the key that makes it one report."""

    form_key: str = Field(
        min_length=1,
        max_length=200,
        pattern=_PLAIN,
        description="new for each report (a UUID, say); sent again with it, nothing is done twice",
    )


class ProgressReport(Answered):
    """The report that was made."""

    id: int
    task_ref: str
    counts_for: date
    percent: int
    status: str


@tool(
    "Report progress",
    "Reports progress on a task of the token's owner; the status done closes the task.",
    Scope.REPORT, ProgressMade, ProgressReport, destructive=False, idempotent=True,
)  # fmt: skip
def report_progress(call: Call, asked: ProgressMade) -> Found:
    """As from the page and the API."""
    made = reports.make_report(call, asked).model
    return Found(ProgressReport.model_validate(made), "/")


# --- the team ----------------------------------------------------------------------------------


class TeamMemberNow(Answered):
    """Where a member stands today."""

    email: str
    name: Text
    standing: str = Field(description="blocked, silent, at_risk, reported, not_yet, away, no_task")
    silent: int = Field(description="workdays of silence")
    away: str | None = Field(description="why today is no workday")
    unreported: Refs = Field(description="refs of tasks that wait for a report")
    blocked: Refs = Field(description="refs of tasks last reported as blocked")
    reminded_at: datetime | None = Field(description="when the mail server took today's reminder")


class OtherTeam(Answered):
    """Another team to ask for."""

    id: int
    name: Text


class AgentTeam(Answered):
    """A team today."""

    id: int
    name: Text
    items: list[TeamMemberNow]
    others: list[OtherTeam] = Field(description="some other teams that may be asked for")
    next: int | None = Field(description=_NEXT)


class SilentMembers(Answered):
    """Who has not reported, the longest silence first within a piece."""

    items: list[TeamMemberNow]
    next: int | None = Field(description=_NEXT)


class AgentTeamAsked(BeforeAsked):
    """Which team."""

    team: RowId | None = Field(None, description="its id; without it the first by name")


@tool(
    "A team today",
    "Where each member of a team stands today: of those the token's owner leads, or any for an admin.",
    Scope.READ, AgentTeamAsked, AgentTeam,
)  # fmt: skip
def team_today(call: Call, asked: AgentTeamAsked) -> Found:
    """By the rules of the board."""
    teams = board_team.teams_seen(call.services, call.caller.me)
    if not teams and asked.team is None:
        raise NoSuchTeam
    found = board_today.today(
        call.services, call.caller.me, asked.team or teams[0][0], call.now,
        limit=_MOST, before=asked.before,
    )  # fmt: skip
    others = [OtherTeam(id=key, name=name) for key, name in teams if key != found.id]
    data = AgentTeam(
        id=found.id,
        name=found.name,
        items=[*map(_member_now, found.standings.members)],
        others=others[:5],
        next=found.standings.last_id,
    )
    return Found(data, f"/team?{urlencode({'team': found.id})}")


@tool(
    "Who is silent",
    "The members with tasks that wait for a report, the longest silence first: of all whom the "
    f"token's owner leads, or of all for an admin. More than {SORTED} members are looked at in pieces, "
    "each in that order; one may be empty, so go on until `next` is null.",
    Scope.READ, BeforeAsked, SilentMembers,
)  # fmt: skip
def who_is_silent(call: Call, asked: BeforeAsked) -> Found:
    """By the rules of the board."""
    found = board_today.all_led(
        call.services, call.caller.me, call.now, limit=SORTED, before=asked.before
    )
    silent = [one for one in found.members if one.row.silent]
    silent.sort(key=lambda one: (-one.row.silent, one.row.facts.name))
    return Found(SilentMembers(items=[*map(_member_now, silent)], next=found.last_id), "/team")


def _member_now(one: StandingNow) -> TeamMemberNow:
    tasks = one.row.tasks
    return TeamMemberNow(
        email=one.row.email,
        name=one.row.facts.name,
        standing=one.row.standing,
        silent=one.row.silent,
        away=one.row.away,
        unreported=[task.ref for task in tasks if task.silent],
        blocked=[task.ref for task in tasks if task.status == "blocked"],
        reminded_at=one.reminded,
    )


# --- one member --------------------------------------------------------------------------------


class MemberDaysAsked(Asked):
    """Whose days, and which; without any the last week."""

    member: str | None = _email()
    first: Day | None = Field(None, alias="from")
    last: Day | None = Field(None, alias="to")


class AgentDay(Answered):
    """One date of a member."""

    date: date
    verdict: str | None = Field(description="send, skip, or null while it is not decided")
    reason: str | None = Field(description="why no reminder went out")
    due: Refs = Field(description="refs of tasks that the decision saw unreported")
    reported: Refs = Field(description="refs of tasks with a report for this date")
    mails: int = Field(description="how many reminders there were")


class AgentDays(Answered):
    """Dates of one member, the earliest first."""

    member: str
    items: list[AgentDay]


class WhyAsked(Asked):
    """Whose mail, of which date."""

    member: str | None = _email()
    on: Day | None = Field(None, alias="date", description="by default today")


class WhyAnswer(Answered):
    """What was decided and what became of it, a fact each."""

    member: str
    items: list[Sentence]


@tool(
    "Days of a member",
    "For each date: which tasks were due, what was reported, and whether a reminder was decided.",
    Scope.READ, MemberDaysAsked, AgentDays,
)  # fmt: skip
def member_days(call: Call, asked: MemberDaysAsked) -> Found:
    """As the API says them."""
    whose = _member(call, asked.member)
    wanted = people.DaysAsked.model_validate({"from": asked.first, "to": asked.last})
    items = [_day(one) for one in people.member_days(call, whose, wanted).items]
    email = asked.member or call.caller.me.email
    return Found(AgentDays(member=email, items=items), _page_of(call, whose))


def _day(one: people.DayEntry) -> AgentDay:
    return AgentDay(
        date=one.date,
        verdict=one.verdict,
        reason=one.reason,
        due=[task.ref for task in one.due],
        reported=one.reported,
        mails=len(one.mails),
    )


@tool(
    "Why mail came or not",
    "Why a member got a reminder on a date, or none, and what became of the mail.",
    Scope.READ, WhyAsked, WhyAnswer,
)  # fmt: skip
def why_mail(call: Call, asked: WhyAsked) -> Found:
    """What `task-progress why` says; of whom one leads, only what is about reminders."""
    me = call.caller.me
    whose = _member(call, asked.member)
    email = seen.member(call.services, me, whose).email
    found = explain(
        call.services, email, asked.on, call.now,
        reminders_only=not me.is_admin and whose != me.id,
    )  # fmt: skip
    items = found.paragraph.to(me.locale).splitlines()
    return Found(WhyAnswer(member=email, items=items), _page_of(call, whose))


class LeaveAsked(Asked):
    """Days off to add."""

    member: str | None = _email("whose, by e-mail address; another's only for an admin")
    first: Day
    last: Day | None = Field(None, description="the last day of several")
    name: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")


class LeaveNow(Answered):
    """The member's days off from these on, as they stand now."""

    items: list[days_off.DaysOffEntry]


@tool(
    "Add leave",
    "Adds days off of the token's owner: no reminder comes on them. Added again nothing changes.",
    Scope.DATA, LeaveAsked, LeaveNow, destructive=False, idempotent=True,
)  # fmt: skip
def add_leave(call: Call, asked: LeaveAsked) -> Found:
    """As the API adds them."""
    wanted = days_off.DaysOffWanted(
        member=_member(call, asked.member),
        first=asked.first,
        last=asked.last or asked.first,
        name=asked.name,
    )
    every = days_off.add_days_off(call, wanted).items
    items = [
        one.model_copy(update={"name": cut_text(one.name)})
        for one in every
        if one.last is None or one.last >= asked.first
    ]
    return Found(LeaveNow(items=items), "/settings/leave")


class ReminderAsked(Asked):
    """Whom to remind."""

    member: str = Field(max_length=320, description="the member's e-mail address")


class ReminderWritten(Answered):
    """The mail that was written; why_mail tells what becomes of it."""

    mail: int


@tool(
    "Send a reminder",
    "Mails a member now about the tasks that wait for a report. A person receives it and it cannot be "
    "taken back: ask before. Quiet hours, days off and the limits of a day are kept.",
    Scope.SEND, ReminderAsked, ReminderWritten, destructive=True, idempotent=False, openWorld=True,
)  # fmt: skip
def send_reminder(call: Call, asked: ReminderAsked) -> Found:
    """As the button on the member's page."""
    whose = _member(call, asked.member)
    made = sending.remind(call, sending.ReminderWanted(member=whose)).model
    return Found(ReminderWritten.model_validate(made), _page_of(call, whose))


def _member(call: Call, email: str | None) -> int:
    """The id of one whom the caller may see. Raises NoSuchMember."""
    if email is None:
        return call.caller.me.id
    found = people.list_members(
        call, people.MembersAsked.model_validate({"email": email, "limit": 1})
    )
    if not found.items:
        raise NoSuchMember(email)
    return found.items[0].id


def _page_of(call: Call, member_id: int) -> str:
    """Of oneself the first page; of others the lead's."""
    return "/" if member_id == call.caller.me.id else f"/team/{member_id}"
