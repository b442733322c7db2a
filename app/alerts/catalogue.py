"""PURE. The catalogue of alerts: the name of each, what is wrong, and what to do."""

from collections.abc import Callable
from datetime import date
from enum import StrEnum

from app.alerts.sentence import PARTS, AlertWords, Facts, span, words
from app.channel import Fault
from app.compose.text import date_words
from app.identity.sentences import how_to_confirm, other_server, shared_redis
from app.locale import Both, counted
from app.smtp.fault import REMEDIES, judge_again


class Alarm(StrEnum):
    """What can be the matter. One that is about a member, mail or date is `name:which`."""

    MAIL_SERVER = "mail_server_unusable"
    MAIL_SERVER_CHANGED = "mail_server_changed"
    NOT_ATTEMPTED = "mails_not_attempted"
    NOT_ENDED = "mails_not_ended"
    NO_TICK = "no_tick"
    SILENT = "part_silent"
    RESTARTS = "part_restarts"
    REDIS = "redis_away"
    REDIS_SHARED = "redis_shared"
    DISK = "disk_short"
    LOGIN_ENDS = "mail_login_ends"
    UNUSUAL_NUMBER = "unusual_number"
    RESTORED = "restored"
    MAIL_FAILED = "mail_failed"
    MAIL_DEAD = "mail_dead"
    MAIL_UNKNOWN = "mail_unknown"
    MAILS_UNKNOWN = "mails_unknown"
    MAILS_EXPIRED = "mails_expired"
    MEMBER = "member_undecidable"
    TEAM = "team_unplannable"
    ADDRESS = "address_suppressed"
    CLOCK = "clock_in_doubt"
    CLOCK_BACK = "clock_was_ahead"
    HEARTBEAT_AHEAD = "heartbeat_ahead"


# While one of these is open mails do not go out, or are late.
STOPS_MAIL = frozenset(
    {Alarm.MAIL_SERVER, Alarm.NOT_ATTEMPTED, Alarm.NOT_ENDED, Alarm.NO_TICK, Alarm.CLOCK}
)

OF_MAILS = {  # by the state in which a mail ended
    "failed": Alarm.MAIL_FAILED,
    "dead": Alarm.MAIL_DEAD,
    "unknown": Alarm.MAIL_UNKNOWN,
}
OF_DATES = {  # about all mails of a date that ended so
    "unknown": Alarm.MAILS_UNKNOWN,
    "expired": Alarm.MAILS_EXPIRED,
}


# They happened, and nothing takes them back: closed by a person's word or by a resend.
EVENTS = frozenset({*OF_MAILS.values(), *OF_DATES.values(), Alarm.CLOCK_BACK})

# About one mail, member or team: as many may be open as there are of those.
NUMEROUS = frozenset({*OF_MAILS.values(), Alarm.MEMBER, Alarm.TEAM, Alarm.ADDRESS})


def name_of(alarm: Alarm, about: object = None) -> str:
    """The name of an alert's row."""
    return str(alarm) if about is None else f"{alarm}:{about}"


def words_of(name: str, facts: Facts | None, detail: str = "") -> AlertWords:
    """The sentences for a row. One that a former version opened says what it said then."""
    alarm, _, about = name.partition(":")
    if facts is None or alarm not in _WORDS:
        words = Both.of(detail)
        what = Both(f"{name}({words.ja})", f"{name} ({words.en})") if detail else Both(name, name)
        return AlertWords(what, _LOOK)
    return _WORDS[Alarm(alarm)](about, facts)


def _mail_server(about: str, facts: Facts) -> AlertWords:
    why = Both.of(facts.get("why", ""))
    here = Both(f"マシン {about} で", f" from the machine {about}") if about else Both("", "")
    return words(
        f"{here.ja}メールサーバーを使えません({why.ja})。",
        f"The mail server cannot be used{here.en} ({why.en}).",
        _remedy(
            facts, Both("メールは失われません。直ると5分以内に自動で送ります。", "No mail is lost.")
        ),
    )


def _mail_server_changed(_about: str, facts: Facts) -> AlertWords:
    said, where = other_server(str(facts.get("known")), facts.get("server")), _machines(facts)
    return words(f"{where.ja}{said.ja}", f"{where.en} {said.en}".strip(), how_to_confirm())


def _remedy(facts: Facts, calm: Both) -> Both:
    """What to mend and where; where the answer does not tell, `doctor` does."""
    mend = REMEDIES.get(Fault(facts["fault"])) if facts.get("fault") in set(Fault) else None
    if mend is None:
        return _doctor(calm.ja, calm.en)
    after = Both("", " Once it is mended all go out within 5 minutes.")
    return Both(f"{calm.ja}{mend.ja}{after.ja}", f"{calm.en} {mend.en}{after.en}")


# What a row of a former version may not say.
_UNSAID = {"number": 1, "minutes": 10, "free_mb": 0, "day": None, "limit": None}
_UNSAID |= {"members": 0, "mails": 0}


def _sentences(ja: str, en: str, *fix: str | Both) -> Callable[[str, Facts], AlertWords]:
    """The sentences of an alert, filled from its facts and what follows from them."""

    def filled(about: str, facts: Facts) -> AlertWords:
        known = {
            **_UNSAID,
            **facts,
            "about": about,
            "part": PARTS.get(about, Both(about, about)),
            "unit": f"celery-{about.partition('@')[0]}",
            "where": _machines(facts),
            "who": facts.get("to") or about,
            "fault": Both.of(facts.get("fault", "")),
            "waits": _why(facts),
            "ahead": span(facts.get("ahead", 0)),
            "day": date_words(date.fromisoformat(facts.get("day", "2000-01-01"))),
            "against": _BOOT if facts.get("witness") == "boot" else _DATABASE,
        }
        what, mend = Both(ja, en), Both.made(*fix)
        return AlertWords(*(Both(*(text.format(**known) for text in one)) for one in (what, mend)))

    return filled


def _why(facts: Facts) -> Both:
    """Which part of their waiting is known to be intended: a pause, a hold."""
    said = Both("", "")
    if facts.get("paused"):
        said = Both(
            "送信は一時停止中です(再開: `task-progress resume`)。",
            " Sending is paused (`task-progress resume` starts it).",
        )
    if facts.get("held"):
        held = facts["held"]
        said = Both(f"{said.ja}うち{held}通は確認待ちです。", f"{said.en} {held} of them are held.")
    return said


def _redis_shared(_about: str, facts: Facts) -> AlertWords:
    what, fix = shared_redis(facts.get("others", ()), _machines(facts))
    return AlertWords(what, fix)


def _machines(facts: Facts) -> Both:
    names = ", ".join(facts.get("machines", ()))
    return Both(f"({names})", f" ({names})") if names else Both("", "")


def _restored(_about: str, facts: Facts) -> AlertWords:
    as_of = facts.get("as_of")  # None: the database does not know until when it was used
    since = Both.of(as_of) if as_of else Both("", "")
    what = Both(
        f"データベースを{since.ja}{'の' * bool(as_of)}バックアップから復元しました。",
        f"The database was restored from a backup{' of ' * bool(as_of)}{since.en}.",
    )
    if not facts.get("by_hand", True):
        what = Both(
            f"データベースが、ここで動いていたものより古くなっています(最後の記録: {since.ja})。"
            "以前のファイルやバックアップが置かれたか、直前の記録のないスタンバイに切り替わりました。",
            f"The database is older than what ran here (its last record: {since.en}): a former "
            "file or backup was put in its place, or a standby took over without the last records.",
        )
    return words(
        f"{what.ja}その後に届いている可能性のあるメールは、送らずに待っています。",
        f"{what.en} Mails that may have gone out since then wait.",
        "まだ届いていないと分かったら `task-progress resume` で送ります。何もしなければ、"
        "期限が来たときに送らずに終わります。",
        "If you know that they did not go out, `task-progress resume` sends them. "
        "If you do nothing, they end at their time without being sent.",
    )


def _mail(ja: str, en: str) -> Callable[[str, Facts], AlertWords]:
    def ended(about: str, facts: Facts) -> AlertWords:
        show = f"task-progress outbox show {about}"
        to, why = _to(facts), _why_it_ended(facts)
        mend = REMEDIES.get(judge_again(why.en), Both("", ""))
        return words(
            f"メール {about}{to.ja}{ja}{why.ja and f'({why.ja})'}。",
            f"Mail {about}{to.en} {en}{why.en and f': {why.en}'}".rstrip(".") + ".",
            f"{mend.ja}`{show}` で経緯を確かめ、必要なら `task-progress outbox resend {about}` で"
            "送り直してください。",
            f"{mend.en} Look at `{show}`; send it again with "
            f"`task-progress outbox resend {about}`.".lstrip(),
        )

    return ended


def _why_it_ended(facts: Facts) -> Both:
    """The server's words; a code of ours, such as claimed_too_often, is in the sentence anyway."""
    why = Both.of(facts.get("why") or "")
    return Both("", "") if why.en.isidentifier() else why


def _to(facts: Facts) -> Both:
    """To whom a mail goes, as far as that was noted."""
    name, address = facts.get("member"), facts.get("to")
    if not address:
        return Both(" ", "")
    if not name:
        return Both(f"({address} 宛て)", f" to {address}")
    return Both(f"({name}さん <{address}> 宛て)", f" to {name} <{address}>")


def _mails(state: str, ja: str, en: str) -> Callable[[str, Facts], AlertWords]:
    """Of a date's mails that ended so: how many, the first of them, and what the server said."""

    def ended(about: str, facts: Facts) -> AlertWords:
        listing = f"task-progress outbox list --state {state} --date {about}"
        number, who = facts.get("number"), ", ".join(facts.get("members", ()))
        said = Both.of(facts.get("why") or "")
        mails = Both(f"のメール{number}通", counted(number, "mail")) if number else _MAILS
        if number and len(facts.get("members", ())) < number:
            who += who and ", …"
        english = f"{mails.en} of {about}{who and f' ({who})'} {en}{said.en and f': {said.en}'}"
        return words(
            f"{about} {mails.ja}{who and f'({who})'}{ja}{said.ja and f'({said.ja})'}。",
            f"{english.rstrip('.')}.",
            f"`{listing}` で確かめてください。",
            f"Look at `{listing}`.",
        )

    return ended


def _address(about: str, facts: Facts) -> AlertWords:
    to, why = facts.get("to", "EMAIL"), _why_it_ended(facts)
    return words(
        f"メンバー {about} のアドレス {to} への送信を止めました(3つの日に宛先不明"
        f"{why.ja and f'、最後の応答: {why.ja}'})。",
        f"Mail to member {about} ({to}) is stopped, refused on three days for its address"
        f"{why.en and f': {why.en}'}".rstrip(".")
        + ".",
        f"アドレスを確かめてから `task-progress member set {to} suppressed=no` で再開できます。",
        f"Check the address, then `task-progress member set {to} suppressed=no`.",
    )


def _doctor(ja: str, en: str) -> Both:
    return Both(
        f"{ja}`task-progress doctor` で原因を確かめてください。",
        f"{en} `task-progress doctor` names the cause.".strip(),
    )


def _status_of(units: str) -> Both:
    return Both(
        f"`systemctl status {units}` を確かめてください。", f"Look at `systemctl status {units}`."
    )


_BOOT = Both("起動してからの経過時間", "the time since the machine started")
_DATABASE = Both("データベースの時計", "the database's clock")
_MAILS = Both("のメール", "Mails")
_LOOK = Both("`task-progress status` で確かめてください。", "Look at `task-progress status`.")

_WORDS: dict[Alarm, Callable[[str, Facts], AlertWords]] = {
    Alarm.MAIL_SERVER: _mail_server,
    Alarm.MAIL_SERVER_CHANGED: _mail_server_changed,
    Alarm.NOT_ATTEMPTED: _sentences(
        "時刻から10分たっても送信を試みていないメールが{number}通あります。{waits.ja}",
        "Mails due for 10 minutes that nobody tried to send: {number}.{waits.en}",
        _doctor("", ""),
    ),
    Alarm.NOT_ENDED: _sentences(
        "時刻から30分たっても送り終えていないメールが{number}通あります。{waits.ja}",
        "Mails due 30 minutes ago that have not ended: {number}.{waits.en}",
        "`task-progress outbox list` でサーバーの応答を確かめてください。",
        "Look at the server's answers with `task-progress outbox list`.",
    ),
    Alarm.NO_TICK: _sentences(
        "5分以上、定期処理が動いていません。",
        "No tick for more than 5 minutes.",
        _status_of("celery-beat celery-worker-mail task-progress-tick.timer"),
    ),
    Alarm.SILENT: _sentences(
        "{part.ja}から5分以上、応答がありません。",
        "{part.en} has been silent for 5 minutes.",
        _status_of("{unit}"),
    ),
    Alarm.RESTARTS: _sentences(
        "{about} が{minutes}分のあいだに5回起動しました。起動のたびに終わっています。",
        "{about} started 5 times in {minutes} minutes: something ends it each time.",
        "`journalctl -u {unit} -n 100` で、終わる前の行を確かめてください。",
        "Look at what it says before it ends: `journalctl -u {unit} -n 100`.",
    ),
    Alarm.REDIS: _sentences(
        "Redis が5分以上応答していません{where.ja}。メールは安全タイマー(5分ごと)だけで送られます。",
        "Redis has not answered for 5 minutes{where.en}. Mails only leave by the safety timer, "
        "every 5 minutes.",
        _doctor("", ""),
    ),
    Alarm.REDIS_SHARED: _redis_shared,
    Alarm.DISK: _sentences(
        "ディスクの空きが {free_mb} MB しかありません{where.ja}。なくなるとメールを送れません。",
        "The disk has only {free_mb} MB left{where.en}. Without room no mail is sent.",
        "`df -h` で確かめ、空きを作ってください。",
        "Look at `df -h` and make room.",
    ),
    Alarm.LOGIN_ENDS: _sentences(
        "メールアカウントの OAuth のシークレット(証明書)の期限は {day.ja} です{where.ja}。過ぎるとメールを送れません。",
        "The OAuth secret (certificate) of the mail account ends on {day.en}{where.en}. After that no mail "
        "is sent.",
        "新しいものを作り、SMTP_OAUTH_CLIENT_SECRET と SMTP_OAUTH_SECRET_EXPIRES を替えて再起動してください。",
        "Make a new one, change SMTP_OAUTH_CLIENT_SECRET and SMTP_OAUTH_SECRET_EXPIRES, and restart.",
    ),
    Alarm.UNUSUAL_NUMBER: _sentences(
        "{day.ja}のリマインダーが{number}通あり、いつもの上限{limit}通を超えています。",
        "{number} reminders for {day.en} exceed the usual limit of {limit}.",
        "確認のうえ `task-progress resume` で送信できます。",
        "Look at them, then send them with `task-progress resume`.",
    ),
    Alarm.RESTORED: _restored,
    Alarm.MAIL_FAILED: _mail("は届けられませんでした", "was refused for good"),
    Alarm.MAIL_DEAD: _mail(
        "は5回試みても結果がなく、あきらめました", "was given up after 5 tries without a result"
    ),
    Alarm.MAIL_UNKNOWN: _mail(
        "は、サーバーが受け付けたかどうか分かりません",
        "may or may not have been accepted, as no answer was recorded",
    ),
    Alarm.MAILS_UNKNOWN: _mails(
        "unknown",
        "は、サーバーが受け付けたかどうか分かりません",
        "may or may not have been accepted, as no answer was recorded",
    ),
    Alarm.MAILS_EXPIRED: _mails(
        "expired", "が、期限までに送れませんでした", "could not be sent in time"
    ),
    Alarm.MEMBER: _sentences(
        "メンバー {who} の設定が正しくないため、リマインダーを決められません({fault.ja})。",
        "Nothing can be decided for member {who}, whose settings make no sense ({fault.en}).",
        "`task-progress member set` で設定を直してください。",
        "Mend the settings with `task-progress member set`.",
    ),
    Alarm.TEAM: _sentences(
        "メンバー {who} へのチームのメールを決められません({fault.ja})。",
        "The mails about the team of member {who} cannot be planned ({fault.en}).",
        _status_of("celery-worker-mail"),
    ),
    Alarm.ADDRESS: _address,
    Alarm.CLOCK: _sentences(
        "{about} の時計が、{against.ja}より約{ahead.ja}進んでいます。"
        "確かめられるまで、このマシンではリマインダーを決めず、送りません。",
        "The clock of {about} is {ahead.en} ahead of {against.en}. Until that is settled, this "
        "machine decides and sends no reminders.",
        "`timedatectl` で時計を確かめてください。直せば自動で再開します。時計が正しければ、"
        "`task-progress clock --accept` かページ「送信の状態」のボタンで再開します。",
        "Look at `timedatectl`; once the clock is right, it goes on by itself. If it is right as "
        'it is, say `task-progress clock --accept`, or use the button on "Sending status".',
    ),
    Alarm.CLOCK_BACK: _sentences(
        "このマシンの時計が進んでいたため、未来の日時が記録されていました。元に戻しました"
        "(メンバー {members}人、メール {mails}通)。",
        "The clock had been ahead, and instants from the future were stored. They were put back "
        "(members: {members}, mails: {mails}).",
        "進んでいた間に送られたメールは `task-progress outbox list` で、時計は `timedatectl` で"
        "確かめてください。",
        "Look at what went out meanwhile with `task-progress outbox list`, and at the clock "
        "with `timedatectl`.",
    ),
    Alarm.HEARTBEAT_AHEAD: _sentences(
        "{part.ja}の最後の記録が、約{ahead.ja}先の時刻になっています。時計がずれています。",
        "{part.en} was last seen {ahead.en} in the future: a clock is wrong.",
        "すべてのマシンで `timedatectl` を確かめ、時刻同期を有効にしてください。",
        "Look at `timedatectl` on every machine, and let each keep its clock by NTP.",
    ),
}
