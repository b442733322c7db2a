"""The reasons and states of decisions and mails, as people read them."""

from app.locale import Both
from app.models import State
from app.outbox.restored import RESTORED
from app.rules.decision import Reason

TRIAL = "test_token"

REASONS: dict[str, Both] = {
    Reason.ADDRESS_SUPPRESSED: Both(
        "宛先が存在しないと繰り返し拒否されたため、このアドレスへの送信を止めています",
        "the address was refused for good again and again, so mail to it is stopped",
    ),
    Reason.FREQUENCY_NONE: Both(
        "リマインダーを受け取らない設定になっています", "reminders are switched off"
    ),
    Reason.PAUSED: Both("リマインダーを止めている期間です", "reminders are paused"),
    Reason.ON_LEAVE: Both("休暇の日です", "it is a day of leave"),
    Reason.COMPANY_CLOSED: Both("会社の休業日です", "the company is closed"),
    Reason.HOLIDAY: Both("祝日です", "it is a public holiday"),
    Reason.WEEKEND: Both("週末です", "it is a weekend day"),
    Reason.NOT_THIS_WEEKDAY: Both(
        "週1回の設定で、この日は送る曜日ではありません",
        "reminders come once a week, and this is not the day",
    ),
    Reason.ALREADY_SENT: Both(
        "この日(または今週)のリマインダーはすでに送られています",
        "the reminder of this day (or week) has been sent already",
    ),
    Reason.NOTHING_UNREPORTED: Both("未報告のタスクがありません", "nothing is unreported"),
    Reason.REPORTED_MEANWHILE: Both(
        "送る直前に、すべて報告済みになりました", "all was reported just before the mail went out"
    ),
    Reason.OPTED_OUT: Both(
        "送る直前に、受け取らない設定に変わりました",
        "reminders were switched off just before the mail went out",
    ),
    Reason.INACTIVE: Both("メンバーが無効になっています", "the member is not active"),
    Reason.EXPIRED: Both(
        "送れる時間のうちに送れなかったため、取りやめました",
        "it could not go out in time, so it was dropped",
    ),
    Reason.NOT_IN_PILOT: Both(
        "MAIL_ONLY_TO で送信先を限っているため、送っていません",
        "MAIL_ONLY_TO limits mails to others",
    ),
    Reason.CANCELLED: Both(
        "運用担当者が取り消したか、本人がその日の別の時刻に変えました",
        "an operator cancelled it, or the member chose another hour of the day",
    ),
    RESTORED: Both(
        "バックアップからの復元より前に届いている可能性があるため、送っていません",
        "it may have gone out before the restore from a backup, so it was not sent",
    ),
    TRIAL: Both(
        "試験用の API トークンで送ったため、届けていません",
        "it was sent with an API token for trying out, so it went nowhere",
    ),
    "quiet_hours": Both("通知を控える時間帯です", "these are quiet hours"),
    "no_answer_recorded": Both("応答が記録されていません", "no answer was recorded"),
    "claimed_too_often": Both("5回試みても結果がありません", "there were 5 tries without a result"),
    "address_changed": Both("アドレスが変わりました", "the address changed"),
    "clock_ran_ahead": Both("時計が進んでいました", "the clock ran ahead"),
}

STATES: dict[str, Both] = {
    State.READY: Both("送信待ちです", "is waiting to be sent"),
    State.SENDING: Both("送信中です", "is being sent"),
    State.IN_DOUBT: Both(
        "送信の最後の応答を確認中です", "was sent, and the server's last answer is awaited"
    ),
    State.ACCEPTED: Both("メールサーバーが受け付けました", "was accepted by the mail server"),
    State.FAILED: Both("送れませんでした", "could not be sent"),
    State.DEAD: Both(
        "送信処理が繰り返し失敗したため、止めました",
        "broke the sender again and again and was stopped",
    ),
    State.UNKNOWN: Both(
        "送られたかどうか分かりません(1通は出ている可能性があります)",
        "may or may not have gone out (one copy may be on its way)",
    ),
    State.SUPPRESSED: Both("送信前に取りやめました", "was dropped before it was sent"),
    State.CANCELLED: Both("取り消されました", "was cancelled"),
    State.EXPIRED: Both("期限までに送れませんでした", "could not go out in time"),
}
