"""PURE. The settings in words, for pages: a name, a hint, and the values to choose from.

A setting without words here is shown by its key, so a new one appears by itself.
"""

from app.locale import Both
from app.people.calendar_values import WEEKDAYS

NAMES: dict[str, Both] = {
    "email": Both("メールアドレス", "Mail address"),
    "name": Both("名前", "Name"),
    "role": Both("役割", "Role"),
    "team": Both("チーム", "Team"),
    "manager": Both("上司のメールアドレス", "Manager's mail address"),
    "active": Both("有効", "Active"),
    "suppressed": Both("送信停止", "Suppressed"),
    "notify_frequency": Both("リマインダーの頻度", "How often"),
    "notify_at": Both("時刻", "Hour"),
    "weekly_day": Both("週1回のときの曜日", "Weekday, if once a week"),
    "weekend": Both("週の休み", "Weekend"),
    "timezone": Both("タイムゾーン", "Time zone"),
    "locale": Both("言語", "Language"),
    "quiet_hours_start": Both("通知を控える時間帯の始まり", "Quiet from"),
    "quiet_hours_end": Both("通知を控える時間帯の終わり", "Quiet until"),
    "paused_until": Both("再開する日", "Resume on"),
    "weekly_digest": Both("リーダーへの週のまとめ", "Weekly digest for leads"),
    "digest_at": Both("週のまとめの時刻", "Hour of the digest"),
    "escalations": Both("報告のない人についてのお知らせ", "Notes about silent members"),
    "escalate_notice_after": Both(
        "本人のメールで予告するまでの営業日", "Workdays of silence before the member is told so"
    ),
    "escalate_lead_after": Both(
        "リーダーに知らせるまでの営業日", "Workdays of silence before the lead is told"
    ),
    "escalate_manager_after": Both(
        "その上司に知らせるまでの営業日", "Workdays of silence before the lead's manager is told"
    ),
    "ai_recap": Both("週のまとめの要点をAIが書く", "Recap of the week by AI"),
    "ai_names": Both("AIに氏名とタスク名を送る", "Names and titles go to the AI"),
    "ai_at_once": Both("AIに同時に尋ねる数", "Questions to the AI at once"),
    "ai_calls_per_day": Both("AIに尋ねる回数(1日)", "Questions to the AI a day"),
    "ai_tokens_per_day": Both("AIのトークン数(1日)", "Tokens of the AI a day"),
    "holidays": Both("祝日の国・地域", "Public holidays of"),
    "catch_up_until": Both("遅れて送る限度の時刻", "Late mails go until"),
    "catch_up_hours": Both("遅れて送る時間(時間)", "Or this many hours after the hour"),
}
# What only files and the audit name.
_COLUMNS: dict[str, Both] = {
    "manager_email": Both("上司", "Manager"),
    "assignee_email": Both("担当者", "Assignee"),
    "title": Both("題名", "Title"),
    "status": Both("状態", "Status"),
    "start_on": Both("開始日", "Starts on"),
    "due_on": Both("期限", "Due on"),
    "report_every": Both("報告の頻度", "Reports"),
    "percent": Both("進み具合(%)", "Percent"),
    "days": Both("期間", "Days"),
    "ref": Both("番号", "Ref"),
    "before": Both("変更前", "Before"),
    "after": Both("変更後", "After"),
    "workday": Both("出勤日", "Extra workday"),
    "first_day": Both("最初の日", "First day"),
    "last_day": Both("最後の日", "Last day"),
    "key": Both("項目", "Setting"),
    "on": Both("日付", "Date"),
    "released": Both("送ることにした通数", "Mails let go"),
    "browsers": Both("ブラウザー", "Browsers"),
}
_STEP = Both(
    "0 なら知らせません。上の段より大きくします。", "0: never. Larger than the step above."
)
HINTS: dict[str, Both] = {
    "weekly_digest": Both(
        "週の休みがいつの人にも、月曜から日曜までの1週間についてまとめます。",
        "It tells of Monday to Sunday, whatever a lead's weekend.",
    ),
    "digest_at": Both(
        "この時刻より前には送りません。空欄なら本人の時刻です。",
        "Not before this hour; empty: the lead's own hour.",
    ),
    "ai_recap": Both(
        "AI_BASE_URL と AI_MODEL を設定したときだけ働きます。件数の要点がいつでも代わりになります。",
        "Only where AI_BASE_URL and AI_MODEL are set; counted lines always stand in.",
    ),
    "ai_names": Both(
        "送らなくても、メールには氏名とタスク名が入ります。",
        "The mail has names and titles even if they are not sent.",
    ),
    "escalate_notice_after": Both("0 なら予告しません。", "0: never."),
    "escalate_lead_after": _STEP,
    "escalate_manager_after": _STEP,
    "notify_at": Both("09:00 のように入力します。", "Like 09:00."),
    "weekend": Both(
        "sat,sun のように入力します。休みがなければ none です。1週間は、週の休みの次の日に始まります。",
        "Like sat,sun; none for no weekend. The week begins on the day after it.",
    ),
    "timezone": Both("Asia/Tokyo のような名前です。", "A name like Asia/Tokyo."),
    "holidays": Both(
        "JP のような国の2文字です。地域で違う国は GB-ENG や DE-BY のように書きます。"
        "祝日も働くなら none です。",
        "A country's two letters, like JP; with a region where they differ, like GB-ENG or DE-BY; "
        "none if holidays are workdays.",
    ),
    "quiet_hours_start": Both("22:00 のように入力します。", "Like 22:00."),
    "quiet_hours_end": Both("07:00 のように入力します。", "Like 07:00."),
    "paused_until": Both(
        "この日からまた届きます。2026-11-30 のように入力します。",
        "Mails come again from this day on. Like 2026-11-30.",
    ),
    "catch_up_until": Both(
        "この時刻か、時刻から数時間後の、遅い方まで送ります。",
        "Until then, or some hours after the hour, whichever is later.",
    ),
    "manager": Both("いなければ空欄にします。", "Empty if there is none."),
}
_DAYS = (
    Both("月曜日", "Monday"), Both("火曜日", "Tuesday"), Both("水曜日", "Wednesday"),
    Both("木曜日", "Thursday"), Both("金曜日", "Friday"), Both("土曜日", "Saturday"),
    Both("日曜日", "Sunday"),
)  # fmt: skip
_YES = (("yes", Both("送る", "Yes")), ("no", Both("送らない", "No")))
CHOICES: dict[str, tuple[tuple[str, Both], ...]] = {
    "ai_recap": (("yes", Both("使う", "Yes")), ("no", Both("使わない", "No"))),
    "ai_names": _YES,
    "weekly_digest": _YES,
    "escalations": _YES,
    "role": (
        ("member", Both("メンバー", "Member")),
        ("lead", Both("リーダー", "Lead")),
        ("admin", Both("管理者", "Admin")),
    ),
    "notify_frequency": (
        ("daily", Both("毎営業日", "Each workday")),
        ("weekly", Both("週1回", "Once a week")),
        ("none", Both("送らない", "None")),
    ),
    "weekly_day": tuple(zip(WEEKDAYS, _DAYS, strict=True)),
    "locale": (("ja", Both("日本語", "Japanese")), ("en", Both("英語", "English"))),
}


def name_of(key: str) -> Both:
    """What the setting is called."""
    return NAMES.get(key) or _COLUMNS.get(key) or Both(key, key)


def shown_value(key: str, value: str) -> Both:
    """A value as people read it."""
    return dict(CHOICES.get(key, ())).get(value, Both(value, value))
