"""PURE. Settings as people type them, `key=value` -> values, with every fault by its key."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

from app.compose.text import composed
from app.locale import Both
from app.people import choices
from app.people.file_records import SETTINGS, read_address
from app.people.setting_names import shown_value
from app.people.weekend_and_region import NONE, WEEKDAYS
from app.refused import Code, Refused, UnusableValue
from app.util.dates_and_numbers import read_date, read_time, read_whole, read_yes, written_as
from app.util.parse import parse_choice, shown, similar

UNTIL_FURTHER_NOTICE = "until-further-notice"

Reader = Callable[[str], Any]


class ValuesRefused(Refused):
    """Nothing was changed: `faults` are (key, sentence), all of them."""

    CODE = Code.UNUSABLE_VALUES

    def __init__(self, faults: list[tuple[str, Both]]) -> None:
        sentence = Both(
            "\n".join(f"{key}: {fault.ja}" for key, fault in faults),
            "\n".join(f"{key}: {fault.en}" for key, fault in faults),
        )
        super().__init__(self.CODE, sentence)
        self.faults = faults


class ChangedMeanwhile(ValuesRefused):
    """Nothing was changed: these values are no longer those that the form was opened with."""

    CODE = Code.CHANGED_MEANWHILE


def refuse_changed(
    wanted: Mapping[str, Any], now_is: Mapping[str, str], was: Mapping[str, str]
) -> None:
    """Raises ChangedMeanwhile for each wanted key whose value is not what it `was`.

    `now_is`, `was`: by key, as people type it. A key without a `was` is changed whatever it is; one
    that has become what is wanted has nothing to lose.
    """
    moved = [
        (key, _changed_to(shown_value(key, now_is[key])))
        for key, value in wanted.items()
        if key in was and now_is[key] not in (was[key], typed(key, value))
    ]
    if moved:
        raise ChangedMeanwhile(moved)


def _changed_to(value: Both) -> Both:
    if not value.en:
        return Both(
            f"この画面を開いたあとに、空欄に変わっています。{_ONCE_MORE.ja}",
            f"It was emptied after you opened this page. {_ONCE_MORE.en}",
        )
    return Both(
        f"この画面を開いたあとに、「{shown(value.ja)}」に変わっています。{_ONCE_MORE.ja}",
        f'It became "{shown(value.en)}" after you opened this page. {_ONCE_MORE.en}',
    )


_ONCE_MORE = Both(
    "入力した値でよければ、もう一度保存してください。",
    "Save once more if what you entered is still right.",
)


def _name(text: str) -> str:
    if text.isprintable() and 0 < len(text) <= 500:
        return composed(text)
    raise UnusableValue(
        "1行の名前を500文字までで書いてください。",
        "Write a name on one line, at most 500 characters.",
    )


def _team(text: str) -> str:
    if text.isprintable() and len(text) <= 200:
        return composed(text)
    raise UnusableValue(
        "1行のチーム名を200文字までで書いてください。",
        "Write a team on one line, at most 200 characters.",
    )


def _lifted(text: str) -> None:
    """The only word an operator has about a suppressed address: no."""
    if read_yes(text):
        parse_choice(text, ("no",))


def _workdays(text: str) -> int:
    """Workdays of silence; 0 is never."""
    return read_whole(text, 0, 60)


_COMMON: dict[str, Reader] = {**SETTINGS, "weekly_digest": read_yes}
ORGANISATION: dict[str, Reader] = {
    **_COMMON,
    "catch_up_until": read_time,
    "catch_up_hours": lambda text: read_whole(text, 1, 24),
    "digest_at": read_time,
    "escalate_notice_after": _workdays,
    "escalate_lead_after": _workdays,
    "escalate_manager_after": _workdays,
    "ai_recap": read_yes,
    "ai_names": read_yes,
    "ai_at_once": lambda text: read_whole(text, 1, 100),
    "ai_calls_per_day": lambda text: read_whole(text, 0, 1_000_000),
    "ai_tokens_per_day": lambda text: read_whole(text, 0, 1_000_000_000),
}
MEMBER_SETTINGS: dict[str, Reader] = {**_COMMON, "paused_until": read_date, "escalations": read_yes}
MEMBER: dict[str, Reader] = {
    **MEMBER_SETTINGS,
    "active": read_yes,
    "suppressed": _lifted,
    "name": _name,
    "role": choices.ROLE.read,
    "team": _team,
    "manager": str.strip,  # whether a member has the address, the database says
}


NEW_MEMBER: dict[str, Reader] = {**MEMBER, "email": read_address("email", allow_localhost=False)}
_NEVER_EMPTY = {"active", "suppressed", "name", "role", "email"}


def pairs(words: Iterable[str]) -> dict[str, str]:
    """ "notify_at=08:30" as key and value. Raises ValuesRefused."""
    found: dict[str, str] = {}
    faults: list[tuple[str, Both]] = []
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            faults.append((shown(word), _NO_PAIR))
        elif key in found:
            faults.append((key, Both("2回書かれています。", "It is said twice.")))
        else:
            found[key] = value
    if faults:
        raise ValuesRefused(faults)
    return found


def read(changes: Mapping[str, str], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The values; an empty one is None: the default again. Raises ValuesRefused with all faults."""
    values: dict[str, Any] = {}
    faults: list[tuple[str, Both]] = []
    for key, text in changes.items():
        if key not in readers:
            faults.append((shown(key), _unknown(key, readers)))
            continue
        if not text and key not in _NEVER_EMPTY:
            values[key] = None
            continue
        try:
            values[key] = readers[key](text)
        except UnusableValue as error:
            faults.append((key, error.sentence))
    if faults:
        raise ValuesRefused(faults)
    return values


def check_quiet_hours(start: time | None, end: time | None) -> None:
    """Raises ValuesRefused where only one of the two is there."""
    if (start is None) != (end is None):
        key = "quiet_hours_start" if start is None else "quiet_hours_end"
        raise ValuesRefused([(key, _PAIR)])


def check_steps(notice: int, lead: int, manager: int) -> None:
    """Raises ValuesRefused unless each step of escalation comes after the one before; 0 is none."""
    taken = [one for one in (notice, lead, manager) if one]
    if taken != sorted(set(taken)):
        raise ValuesRefused([("escalate_lead_after", _STEPS)])


def typed(key: str, value: Any) -> str:
    """A value as people type it: the other way round of `read`; "" where there is none."""
    if value is None:
        return ""
    if key == "weekly_day":
        return WEEKDAYS[int(value)]
    if key in {"weekend", "holidays"}:
        return value or NONE
    return written_as(value)


def read_last(text: str | None, first: date) -> date | None:
    """The last day of leave as typed; nothing typed: one day. None is open-ended.

    Raises ValuesRefused.
    """
    if text is None:
        return first
    if text == UNTIL_FURTHER_NOTICE:
        return None
    try:
        last = read_date(text)
    except UnusableValue as error:
        raise ValuesRefused([("LAST", error.sentence)]) from None
    if last < first:
        before = Both(f"{last} は {first} より前です。", f"{last} is before {first}.")
        raise ValuesRefused([("LAST", before)])
    return last


def _unknown(key: str, readers: Mapping[str, Reader]) -> Both:
    close = similar(key, readers)
    if close:
        return Both(
            f"この項目はありません。{close[0]} ではありませんか。",
            f"There is no such key. Did you mean {close[0]}?",
        )
    known = " | ".join(readers)
    return Both(f"この項目はありません。次のどれかです: {known}", f"No such key. One of: {known}")


_NO_PAIR = Both(
    "notify_at=08:30 のように KEY=VALUE の形で書いてください。",
    "Write it as KEY=VALUE, like notify_at=08:30.",
)
_STEPS = Both(
    "escalate_notice_after、escalate_lead_after、escalate_manager_after は、この順に大きくして"
    "ください(0 はしない、の意味です)。",
    "Make escalate_notice_after, escalate_lead_after and escalate_manager_after larger in this "
    "order (0 means never).",
)
_PAIR = Both(
    "quiet_hours_start と quiet_hours_end は、両方決めるか両方空にしてください。",
    "Set both quiet_hours_start and quiet_hours_end, or neither.",
)
