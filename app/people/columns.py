"""PURE. The one table of the columns of every file: headings, what is needed, help, an example.

Reading a header, the templates, the preview and docs/csv.md all come from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.locale import Both
from app.people import choices
from app.util.dates_and_numbers import YES_NO, Words, squeezed

Form = Literal["text", "date", "time", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` is its stable heading, `name` its heading in words, `also` others taken.

    `form`: how a workbook shows its cells. A column that is not `needed` may be left out.
    """

    key: str
    name: Both
    help: Both
    example: Both
    needed: bool = False
    words: Words | None = None
    form: Form = "text"
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is about, and its columns in the order of its template."""

    what: str
    name: Both
    columns: tuple[Column, ...]

    def heading(self, text: str) -> str | None:
        """The key of the column with this heading in whichever language; None for no such one."""
        return _HEADINGS[self.what].get(squeezed(text))

    def example(self, locale: str) -> dict[str, str]:
        """The example line of the template; a cell of no example is left out."""
        return {one.key: text for one in self.columns if (text := one.example.to(locale))}

    def is_example(self, cells: Mapping[str, str]) -> bool:
        """Whether a line is the template's example, which was not written over."""
        given = {key: text for key, text in cells.items() if text}
        return given in _EXAMPLES[self.what]


def _same(text: str) -> Both:
    return Both(text, text)


_NOTHING = _same("")
_EMAIL = _same("hanako@example.jp")
_OWN = Both("空欄は組織の既定です。", "Empty: the organisation's default.")

_MEMBERS = (
    Column(
        "email",
        Both("メールアドレス", "Mail address"),
        Both("半角で書きます。同じアドレスの人がいれば、その人の行です。", "Whose line it is."),
        _EMAIL,
        needed=True,
        also=("メール", "mail", "e-mail"),
    ),
    Column(
        "name",
        Both("名前", "Name"),
        Both("メールや画面に出る名前です。", "The name in mails and pages."),
        Both("見本 花子", "Hanako Example"),
        needed=True,
        also=("氏名",),
    ),
    Column(
        "role",
        Both("役割", "Role"),
        Both("空欄はメンバーです。", "Empty: member."),
        choices.ROLE.name("member"),
        words=choices.ROLE,
    ),
    Column(
        "team",
        Both("チーム", "Team"),
        Both("なければ作ります。", "Made if there is none of this name."),
        Both("開発", "Development"),
        also=("部署",),
    ),
    Column(
        "manager_email",
        Both("上司のメールアドレス", "Manager's mail address"),
        Both("同じファイルにいるか、登録済みの人です。", "Somebody in this file, or here already."),
        _NOTHING,
        also=("上司", "manager"),
    ),
    Column(
        "locale",
        Both("言語", "Language"),
        _OWN,
        Both("日本語", "English"),
        words=choices.LOCALE,
    ),
    Column(
        "timezone",
        Both("タイムゾーン", "Time zone"),
        Both(
            f"Asia/Tokyo のような名前です。{_OWN.ja}",
            f"A name like Asia/Tokyo. {_OWN.en}",
        ),
        _same("Asia/Tokyo"),
    ),
    Column(
        "notify_frequency",
        Both("リマインダーの頻度", "How often"),
        _OWN,
        choices.FREQUENCY.name("daily"),
        words=choices.FREQUENCY,
        also=("頻度",),
    ),
    Column(
        "notify_at",
        Both("リマインダーの時刻", "Hour"),
        _OWN,
        _same("09:00"),
        form="time",
        also=("時刻",),
    ),
    Column(
        "weekly_day",
        Both("週1回のときの曜日", "Weekday, if once a week"),
        _OWN,
        _NOTHING,
        words=choices.WEEKDAY,
        also=("曜日", "weekday"),
    ),
    Column(
        "quiet_hours_start",
        Both("通知を控える時間帯の始まり", "Quiet from"),
        Both("終わりも一緒に書きます。", "Together with the end."),
        _NOTHING,
        form="time",
    ),
    Column(
        "quiet_hours_end",
        Both("通知を控える時間帯の終わり", "Quiet until"),
        Both("始まりも一緒に書きます。", "Together with the start."),
        _NOTHING,
        form="time",
    ),
    Column(
        "active",
        Both("有効", "Active"),
        Both("空欄は「はい」です。", "Empty: yes."),
        YES_NO.name("yes"),
        words=YES_NO,
        also=("在籍",),
    ),
    Column(
        "weekend",
        Both("週の休み", "Weekend"),
        Both("土,日 の形です。なければ「なし」。", "Like sat,sun; none for no weekend."),
        _NOTHING,
    ),
    Column(
        "holidays",
        Both("祝日の国・地域", "Public holidays of"),
        Both(
            "JP や GB-ENG の形です。祝日も働くなら「なし」。",
            "Like JP or GB-ENG; none if holidays are workdays.",
        ),
        _NOTHING,
    ),
)
_TASKS = (
    Column(
        "ref",
        Both("番号", "Ref"),
        Both(
            "60文字まで。同じ番号のタスクがあれば、その行です。",
            "At most 60 characters; says which task the line is about.",
        ),
        _same("T-000"),
        needed=True,
        also=("タスク番号",),
    ),
    Column(
        "title",
        Both("題名", "Title"),
        Both("タスクの名前です。", "What the task is called."),
        Both("見本のタスク", "An example of a task"),
        needed=True,
        also=("タスク", "タスク名", "件名", "タイトル"),
    ),
    Column(
        "assignee_email",
        Both("担当者", "Assignee"),
        Both("メールアドレスです。空欄は担当者なしです。", "A mail address; empty: nobody's task."),
        _EMAIL,
        needed=True,
        also=("担当", "担当者のメールアドレス", "assignee's mail address"),
    ),
    Column(
        "status",
        Both("状態", "Status"),
        Both("空欄は進行中です。", "Empty: open."),
        choices.TASK_STATE.name("open"),
        words=choices.TASK_STATE,
        also=("ステータス",),
    ),
    Column(
        "start_on",
        Both("開始日", "Starts on"),
        Both(
            "この列がなければ、新しいタスクは取り込む日に始まります。",
            "Without this column a new task starts on the day of the import.",
        ),
        _same("2026-11-24"),
        form="date",
        also=("開始", "start", "start date"),
    ),
    Column(
        "due_on",
        Both("期限", "Due on"),
        Both("空欄は期限なしです。", "Empty: no due date."),
        _same("2026-12-25"),
        form="date",
        also=("期日", "締切", "due", "due date"),
    ),
    Column(
        "report_every",
        Both("報告の頻度", "Reports"),
        Both("空欄は毎営業日です。", "Empty: each workday."),
        choices.REPORT_EVERY.name("daily"),
        words=choices.REPORT_EVERY,
    ),
    Column(
        "assigned_on",
        Both("担当になった日", "Assigned on"),
        Both(
            "報告のない日数を数え始める日です。空欄は取り込む日です。",
            "From when silence counts. Empty: the day of the import.",
        ),
        _NOTHING,
        form="date",
        also=("担当開始日",),
    ),
)
_REPORTS = (
    Column(
        "task_ref",
        Both("タスクの番号", "Task ref"),
        Both("登録済みのタスクです。", "A task that is here already."),
        _same("T-000"),
        needed=True,
        also=("番号", "タスク番号", "ref"),
    ),
    Column(
        "reporter_email",
        Both("報告した人", "Reporter"),
        Both("メールアドレスです。", "A mail address."),
        _EMAIL,
        needed=True,
        also=("報告者", "報告者のメールアドレス", "reporter's mail address"),
    ),
    Column(
        "reported_on",
        Both("報告日", "Reported on"),
        Both("この日についての報告です。", "The day that the report counts for."),
        _same("2026-11-24"),
        needed=True,
        form="date",
        also=("日付", "date"),
    ),
    Column(
        "percent",
        Both("進み具合(%)", "Percent"),
        Both("0 から 100 までの整数です。", "A whole number from 0 to 100."),
        _same("80"),
        needed=True,
        form="number",
        also=("進み具合", "進捗", "進捗率", "%"),
    ),
    Column(
        "status",
        Both("状況", "Status"),
        Both("タスクの状態は変わりません。", "It closes no task."),
        choices.REPORT_STATE.name("on_track"),
        needed=True,
        words=choices.REPORT_STATE,
        also=("状態",),
    ),
    Column(
        "text",
        Both("内容", "Text"),
        Both("10,000文字まで。改行も使えます。", "At most 10,000 characters on one or more lines."),
        Both("予定どおりです。", "As planned."),
        also=("コメント", "報告"),
    ),
)
_DAYS_OFF = (
    Column(
        "scope",
        Both("種類", "Scope"),
        Both("だれの、休みか出勤日か。", "Whose days, and off or at work."),
        choices.SCOPE.name("company"),
        needed=True,
        words=choices.SCOPE,
    ),
    Column(
        "email",
        Both("メールアドレス", "Mail address"),
        Both("会社の行では空欄にします。", "Empty on a line of the company."),
        _NOTHING,
        also=("メール", "mail"),
    ),
    Column(
        "first_day",
        Both("最初の日", "First day"),
        Both("その日を含みます。", "It is part of them."),
        _same("2026-12-29"),
        needed=True,
        form="date",
        also=("開始日", "from"),
    ),
    Column(
        "last_day",
        Both("最後の日", "Last day"),
        Both("1日だけなら最初の日と同じです。", "For one day, the same as the first."),
        _same("2027-01-03"),
        needed=True,
        form="date",
        also=("終了日", "until"),
    ),
    Column(
        "name",
        Both("名前", "Name"),
        Both("200文字まで。", "At most 200 characters."),
        Both("見本の休業", "An example of days off"),
        also=("名称", "理由"),
    ),
)

FILES: dict[str, FileKind] = {
    one.what: one
    for one in (
        FileKind("members", Both("メンバー", "Members"), _MEMBERS),
        FileKind("tasks", Both("タスク", "Tasks"), _TASKS),
        FileKind("reports", Both("報告", "Reports"), _REPORTS),
        FileKind("days-off", Both("休みと出勤日", "Days off"), _DAYS_OFF),
    )
}
HEADERS = {what: tuple(one.key for one in kind.columns) for what, kind in FILES.items()}
_HEADINGS = {
    what: {
        squeezed(text): one.key
        for one in reversed(kind.columns)
        for text in (*one.also, *one.name, one.key)
    }
    for what, kind in FILES.items()
}
_EXAMPLES = {what: (kind.example("ja"), kind.example("en")) for what, kind in FILES.items()}


def column_name(key: str) -> Both | None:
    """What the column of this key is called, in whichever file it is; None for no such column."""
    columns = (one for kind in FILES.values() for one in kind.columns)
    return next((one.name for one in columns if one.key == key), None)
