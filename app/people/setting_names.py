"""PURE. The settings in words, for pages: a name, a hint, and the values to choose from.

A setting without words here is shown by its key, so a new one appears by itself.
"""

from app.locale import Both
from app.people import choices, places
from app.people.columns import column_name
from app.util.dates_and_numbers import Words

# Beside those that files have as columns (app/people/columns.py).
_NAMES: dict[str, Both] = {
    "manager": Both("上司のメールアドレス", "Manager's mail address"),
    "suppressed": Both("送信停止", "Suppressed"),
    "notify_at": Both("時刻", "Hour"),
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
    "catch_up_until": Both("遅れて送る限度の時刻", "Late mails go until"),
    "catch_up_hours": Both("遅れて送る時間(時間)", "Or this many hours after the hour"),
    # What only the audit names.
    "days": Both("期間", "Days"),
    "before": Both("変更前", "Before"),
    "after": Both("変更後", "After"),
    "workday": Both("出勤日", "Extra workday"),
    "key": Both("項目", "Setting"),
    "on": Both("日付", "Date"),
    "released": Both("送ることにした通数", "Mails let go"),
    "browsers": Both("ブラウザー", "Browsers"),
}
_STEP = Both(
    "0 なら知らせません。上の段より大きくします。", "0: never. Larger than the step above."
)
_ELSEWHERE = Both(
    "一覧にない場所は、管理者が取り込みかコマンドで設定できます。",
    "A place that is not listed can be set by an admin, in a file or by a command.",
)
HINTS: dict[str, Both] = {
    "weekly_digest": Both(
        "週の休みがいつの人にも、月曜日から日曜日までの1週間についてまとめます。",
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
        "1週間は、週の休みの次の日に始まります。", "The week begins on the day after it."
    ),
    "timezone": _ELSEWHERE,
    "holidays": _ELSEWHERE,
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


def _choices(words: Words) -> tuple[tuple[str, Both], ...]:
    return tuple((one.value, one.name) for one in words.words)


_YES = (("yes", Both("送る", "Yes")), ("no", Both("送らない", "No")))
CHOICES: dict[str, tuple[tuple[str, Both], ...]] = {
    "ai_recap": (("yes", Both("使う", "Yes")), ("no", Both("使わない", "No"))),
    "ai_names": _YES,
    "weekly_digest": _YES,
    "escalations": _YES,
    "role": _choices(choices.ROLE),
    "notify_frequency": _choices(choices.FREQUENCY),
    "weekly_day": _choices(choices.WEEKDAY),
    "locale": _choices(choices.LOCALE),
    "weekend": places.WEEKENDS,
    "timezone": places.TIME_ZONES,
    "holidays": places.REGIONS,
}


def name_of(key: str) -> Both:
    """What the setting is called."""
    return _NAMES.get(key) or column_name(key) or Both(key, key)


def shown_value(key: str, value: str) -> Both:
    """A value as people read it."""
    return dict(CHOICES.get(key, ())).get(value, Both(value, value))
