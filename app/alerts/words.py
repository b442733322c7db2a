"""QUIET. The alerts' names, and what each says to people: what is the matter, and what to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.util.fault import REMEDIES, Fault, judge_again
from app.words import Both

Facts = Mapping[str, Any]


class Alarm(StrEnum):
    """What can be the matter. One that is about a member, mail or date is `name:which`."""

    MAIL_SERVER = "mail_server_unusable"
    NOT_ATTEMPTED = "mails_not_attempted"
    NOT_ENDED = "mails_not_ended"
    NO_TICK = "no_tick"
    SILENT = "part_silent"
    UNUSUAL_NUMBER = "unusual_number"
    RESTORED = "restored"
    MAIL_FAILED = "mail_failed"
    MAIL_DEAD = "mail_dead"
    MAIL_UNKNOWN = "mail_unknown"
    MAILS_EXPIRED = "mails_expired"
    MEMBER = "member_undecidable"
    TEAM = "team_unplannable"
    ADDRESS = "address_suppressed"


# They happened, and nothing takes them back: closed by a person's word or by a resend.
EVENTS = frozenset({Alarm.MAIL_FAILED, Alarm.MAIL_DEAD, Alarm.MAIL_UNKNOWN, Alarm.MAILS_EXPIRED})

# While one of these is open mails do not go out, or are late.
STOPS_MAIL = frozenset({Alarm.MAIL_SERVER, Alarm.NOT_ATTEMPTED, Alarm.NOT_ENDED, Alarm.NO_TICK})

OF_MAILS = {  # by the state in which a mail ended
    "failed": Alarm.MAIL_FAILED,
    "dead": Alarm.MAIL_DEAD,
    "unknown": Alarm.MAIL_UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Words:
    """What is the matter, in one sentence, and what to do about it."""

    what: Both
    fix: Both


def name_of(alarm: Alarm, about: object = None) -> str:
    """The name of an alert's row."""
    return str(alarm) if about is None else f"{alarm}:{about}"


def words_of(name: str, facts: Facts | None, detail: str = "") -> Words:
    """The sentences for a row. One that a former version opened says what it said then."""
    alarm, _, about = name.partition(":")
    if facts is None or alarm not in _WORDS:
        told = Both.of(detail)
        what = Both(f"{name}({told.ja})", f"{name} ({told.en})") if detail else Both(name, name)
        return Words(what, _LOOK)
    return _WORDS[Alarm(alarm)](about, facts)


def _mail_server(about: str, facts: Facts) -> Words:
    why = Both.of(str(facts.get("why", "")))
    here = Both(f"マシン {about} で", f" from the machine {about}") if about else Both("", "")
    return Words(
        Both(
            f"{here.ja}メールサーバーを使えません({why.ja})。",
            f"The mail server cannot be used{here.en} ({why.en}).",
        ),
        _remedy(
            facts, Both("メールは失われません。直ると5分以内に自動で送ります。", "No mail is lost.")
        ),
    )


def _remedy(facts: Facts, calm: Both) -> Both:
    """What to mend and where; where the answer does not tell, `doctor` does."""
    mend = REMEDIES.get(Fault(facts["fault"])) if facts.get("fault") in set(Fault) else None
    if mend is None:
        return _doctor(calm.ja, calm.en)
    after = Both("", " Once it is mended all go out within 5 minutes.")
    return Both(f"{calm.ja}{mend.ja}{after.ja}", f"{calm.en} {mend.en}{after.en}")


def _not_attempted(_about: str, facts: Facts) -> Words:
    number = facts.get("number", 1)
    return Words(
        Both(
            f"時刻から10分たっても送信を試みていないメールが{number}通あります。{_why(facts).ja}",
            f"Mails due for 10 minutes that nobody tried to send: {number}.{_why(facts).en}",
        ),
        _doctor("", ""),
    )


def _not_ended(_about: str, facts: Facts) -> Words:
    number = facts.get("number", 1)
    return Words(
        Both(
            f"時刻から30分たっても送り終えていないメールが{number}通あります。{_why(facts).ja}",
            f"Mails due 30 minutes ago that have not ended: {number}.{_why(facts).en}",
        ),
        Both(
            "`task-progress outbox list` でサーバーの応答を確かめてください。",
            "Look at the server's answers with `task-progress outbox list`.",
        ),
    )


def _why(facts: Facts) -> Both:
    """What of their waiting is known to be somebody's will."""
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


def _no_tick(_about: str, _facts: Facts) -> Words:
    return Words(
        Both("5分以上、定期処理が動いていません。", "No tick for more than 5 minutes."),
        _status_of("celery-beat celery-worker-mail task-progress-tick.timer"),
    )


def _silent(about: str, _facts: Facts) -> Words:
    part = {
        "beat": Both("Celery Beat(定期処理の開始役)", "Celery beat, which starts the ticks,"),
        "worker-mail": Both("メールのワーカー", "The mail worker"),
        "worker-ai": Both("AI のワーカー", "The AI worker"),
    }.get(about, Both(about, about))
    return Words(
        Both(
            f"{part.ja}から5分以上、応答がありません。", f"{part.en} has been silent for 5 minutes."
        ),
        _status_of({"beat": "celery-beat"}.get(about, f"celery-{about}")),
    )


def _unusual_number(_about: str, facts: Facts) -> Words:
    day, number, limit = facts.get("day"), facts.get("number"), facts.get("limit")
    return Words(
        Both(
            f"{day} のリマインダーが{number}通あり、いつもの上限{limit}通を超えています。",
            f"{number} reminders for {day} exceed the usual limit of {limit}.",
        ),
        Both(
            "確認のうえ `task-progress resume` で送信できます。",
            "Look at them, then send them with `task-progress resume`.",
        ),
    )


def _restored(_about: str, facts: Facts) -> Words:
    as_of = facts.get("as_of")  # None: the database does not know until when it was used
    since = Both.of(str(as_of)) if as_of else Both("", "")
    return Words(
        Both(
            f"データベースを{since.ja}{'の' * bool(as_of)}バックアップから復元しました。"
            "その後に届いている可能性のあるメールは、送らずに待っています。",
            f"The database was restored from a backup{' of ' * bool(as_of)}{since.en}. "
            "Mails that may have gone out since then wait.",
        ),
        Both(
            "まだ届いていないと分かったら `task-progress resume` で送ります。何もしなければ、"
            "期限が来たときに送らずに終わります。",
            "If you know that they did not go out, `task-progress resume` sends them. "
            "If you do nothing, they end at their time without being sent.",
        ),
    )


def _mail(ja: str, en: str) -> "Callable[[str, Facts], Words]":
    def words(about: str, facts: Facts) -> Words:
        show = f"task-progress outbox show {about}"
        to, why = facts.get("to"), Both.of(str(facts.get("why") or ""))
        whose = Both(f"({to})", f" to {to}") if to else Both("", "")
        because = Both(f"応答・理由: {why.ja}", f" ({why.en})") if why.en else Both("", "")
        mend = REMEDIES.get(judge_again(why.en), Both("", ""))
        return Words(
            Both(
                f"メール {about}{whose.ja} {ja}{because.ja}",
                f"Mail {about}{whose.en} {en.removesuffix('.')}{because.en}.",
            ),
            Both(
                f"{mend.ja}`{show}` で経緯を確かめ、必要なら `task-progress outbox resend {about}` で"
                "送り直してください。",
                f"{mend.en} Look at `{show}`; send it again with "
                f"`task-progress outbox resend {about}`.".lstrip(),
            ),
        )

    return words


def _expired(about: str, _facts: Facts) -> Words:
    listing = f"task-progress outbox list --state expired --date {about}"
    return Words(
        Both(
            f"{about} のメールが、期限までに送れませんでした。",
            f"Mails of {about} could not be sent in time.",
        ),
        Both(f"`{listing}` で確かめてください。", f"Look at `{listing}`."),
    )


def _member(about: str, facts: Facts) -> Words:
    fault = Both.of(str(facts.get("fault", "")))
    return Words(
        Both(
            f"メンバー {about} の設定が正しくないため、リマインダーを決められません({fault.ja})。",
            f"Nothing can be decided for member {about}, whose settings make no sense "
            f"({fault.en}).",
        ),
        Both(
            "`task-progress member set` で設定を直してください。",
            "Mend the settings with `task-progress member set`.",
        ),
    )


def _team(about: str, facts: Facts) -> Words:
    fault = Both.of(str(facts.get("fault", "")))
    return Words(
        Both(
            f"メンバー {about} へのチームのメールを決められません({fault.ja})。",
            f"The mails about the team of member {about} cannot be planned ({fault.en}).",
        ),
        _status_of("celery-worker-mail"),
    )


def _address(about: str, facts: Facts) -> Words:
    to = facts.get("to", "EMAIL")
    why = f": {facts['why']}" if facts.get("why") else ""
    return Words(
        Both(
            f"メンバー {about} のアドレス {to} への送信を止めました(3つの日に宛先不明{why})。",
            f"Mail to member {about} ({to}) is stopped: refused on three days for its address{why}.",
        ),
        Both(
            f"アドレスを確かめてから `task-progress member set {to} suppressed=no` で再開できます。",
            f"Check the address, then `task-progress member set {to} suppressed=no`.",
        ),
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


_LOOK = Both("`task-progress status` で確かめてください。", "Look at `task-progress status`.")

_WORDS: dict[Alarm, Callable[[str, Facts], Words]] = {
    Alarm.MAIL_SERVER: _mail_server,
    Alarm.NOT_ATTEMPTED: _not_attempted,
    Alarm.NOT_ENDED: _not_ended,
    Alarm.NO_TICK: _no_tick,
    Alarm.SILENT: _silent,
    Alarm.UNUSUAL_NUMBER: _unusual_number,
    Alarm.RESTORED: _restored,
    Alarm.MAIL_FAILED: _mail("は届けられませんでした。", "was refused for good."),
    Alarm.MAIL_DEAD: _mail(
        "は5回試みても結果がなく、あきらめました。", "was given up after 5 tries without a result."
    ),
    Alarm.MAIL_UNKNOWN: _mail(
        "は、サーバーが受け付けたかどうか分かりません。",
        "may or may not have been accepted: no answer was recorded.",
    ),
    Alarm.MAILS_EXPIRED: _expired,
    Alarm.MEMBER: _member,
    Alarm.TEAM: _team,
    Alarm.ADDRESS: _address,
}
