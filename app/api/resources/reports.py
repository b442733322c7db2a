"""Reports: listed, and made on one's own tasks."""

from datetime import date, datetime

from pydantic import Field

from app.access.api_tokens import Scope
from app.api.operation import Asked, Call, ListEntry, Paged, Piece, Reply, RowId, operation
from app.locale import Both
from app.models import StatusWord
from app.people.file_records import MAX_REPORT
from app.refused import Code
from app.reports import by_program, seen
from app.reports.from_mail import FilledReport


class ReportEntry(ListEntry):
    """A report on a task."""

    task_id: int
    task_ref: str
    reporter_id: int | None
    reporter_email: str | None
    counts_for: date
    percent: int
    status: str
    text: str
    via: str = Field(description="by which way it came: web, api, mcp, import …")
    created_at: datetime


class ReportList(Piece[ReportEntry]):
    """A piece of the reports; `next` is the `before` of the piece that follows."""


class ReportsAsked(Paged):
    """Which reports."""

    task: RowId | None = Field(None, description="the task's id")
    member: RowId | None = Field(None, description="who reported, by id")


class ReportMade(Asked):
    """A report on a task of one's own."""

    task_ref: str = Field(min_length=1, max_length=60)
    percent: int = Field(ge=0, le=100)
    status: StatusWord
    text: str = Field("", max_length=MAX_REPORT)


@operation(
    "GET", "/reports", "reports", Both("報告の一覧", "List reports"), Scope.READ,
    example={"query": {"limit": 10}},
)  # fmt: skip
def list_reports(call: Call, asked: ReportsAsked) -> ReportList:
    """By members whom the caller may see."""
    found = seen.reports(
        call.services, call.caller.me, limit=asked.limit, before=asked.before,
        task_id=asked.task, member_id=asked.member,
    )  # fmt: skip
    return ReportList.of(found, asked)


@operation(
    "POST", "/reports", "reports",
    Both("自分のタスクを報告する", "Report on a task of one's own"), Scope.REPORT,
    answers={201: ReportEntry, 200: ReportEntry}, refuses=[Code.NO_SUCH_TASK],
    example={"body": {"task_ref": "T-001", "percent": 60, "status": "on_track",
                      "text": "夜間バッチが終わりました。"}},
)  # fmt: skip
def make_report(call: Call, body: ReportMade) -> Reply:
    """201, or 200 where the last report says the same for the same date; `done` closes the task."""
    me, services = call.caller.me, call.services
    filled = FilledReport(body.task_ref, body.percent, body.status, body.text)
    made = by_program.report(
        services, me.id, filled, call.now, via=call.via, token_id=call.caller.token_id
    )
    found = seen.report(services, me, made.report.id)
    return Reply(ReportEntry.model_validate(found), 201 if made.new else 200)
