"""PURE. Values that are one of a few words, with what people call each in both languages.

Files, commands and pages take each by its stored word, by its names, or by what else means it.
"""

from app.compose.colours import STATUSES
from app.locale import Both
from app.rules.hours import Frequency
from app.util.dates_and_numbers import Word, Words

ROLE = Words(
    Word("member", Both("メンバー", "Member"), ("一般",)),
    Word("lead", Both("リーダー", "Lead"), ("leader",)),
    Word("admin", Both("管理者", "Admin"), ("administrator",)),
)
FREQUENCY = Words(
    Word(Frequency.DAILY, Both("毎営業日", "Each workday"), ("毎日",)),
    Word(Frequency.WEEKLY, Both("週1回", "Once a week"), ("毎週",)),
    Word(Frequency.NONE, Both("送らない", "None"), ("なし",)),
)
REPORT_EVERY = Words(
    Word("daily", Both("毎営業日", "Each workday"), ("毎日",)),
    Word("weekly", Both("週1回", "Once a week"), ("毎週",)),
)
TASK_STATE = Words(
    Word("open", Both("進行中", "Open"), ("in progress", "未完了")),
    Word("done", Both("完了", "Done"), ("completed",)),
    Word("cancelled", Both("取りやめ", "Cancelled"), ("canceled", "中止", "取り消し", "取消")),
)
REPORT_STATE = Words(
    *(
        Word(status, name, ("completed",) if status == "done" else ())
        for status, (_, name) in STATUSES.items()
    )
)
LOCALE = Words(
    Word("ja", Both("日本語", "Japanese")),
    Word("en", Both("英語", "English")),
)
# Days off, and extra workdays (土曜出勤日), of the company or of one member.
SCOPE = Words(
    Word("company", Both("会社の休み", "Company closed"), ("会社", "全社")),
    Word("member", Both("メンバーの休み", "Leave"), ("メンバー", "本人")),
    Word("company_workday", Both("会社の出勤日", "Company workday")),
    Word("member_workday", Both("メンバーの出勤日", "Member's workday")),
)
WEEKDAY = Words(
    Word("mon", Both("月曜日", "Monday"), ("月曜", "月")),
    Word("tue", Both("火曜日", "Tuesday"), ("火曜", "火")),
    Word("wed", Both("水曜日", "Wednesday"), ("水曜", "水")),
    Word("thu", Both("木曜日", "Thursday"), ("木曜", "木")),
    Word("fri", Both("金曜日", "Friday"), ("金曜", "金")),
    Word("sat", Both("土曜日", "Saturday"), ("土曜", "土")),
    Word("sun", Both("日曜日", "Sunday"), ("日曜", "日")),
)
