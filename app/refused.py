"""PURE. How the program refuses: a word that never changes, and a sentence for people.

Each door turns the word into what it has: the pages into a status (app/web/refusals.py), the
commands into an exit code (app/cli/refusals.py).
"""

from enum import StrEnum

from app.locale import Both


class Code(StrEnum):
    """Every reason to refuse; docs/refusals.md lists them for programs."""

    # What was typed or sent.
    UNUSABLE_VALUE = "unusable_value"
    UNUSABLE_VALUES = "unusable_values"
    UNUSABLE_FILE = "unusable_file"
    CHANGED_MEANWHILE = "changed_meanwhile"
    # What it is about.
    NO_SUCH_MEMBER = "no_such_member"
    NO_SUCH_TEAM = "no_such_team"
    NO_SUCH_TASK = "no_such_task"
    NO_SUCH_MAIL = "no_such_mail"
    NO_SUCH_FILE = "no_such_file"
    NO_SUCH_DAYS = "no_such_days"
    NOT_POSSIBLE = "not_possible"
    LAST_ADMIN = "last_admin"
    # A reminder at another time.
    QUIET_HOURS = "quiet_hours"
    NO_REMINDER_TODAY = "no_reminder_today"
    NO_WORKDAY = "no_workday"
    NOTHING_UNREPORTED = "nothing_unreported"
    ALREADY_NUDGED = "already_nudged"
    ALREADY_WAITING = "already_waiting"
    ALREADY_PAST = "already_past"
    ALREADY_PAUSED = "already_paused"
    COMES_BY_ITSELF = "comes_by_itself"
    TOO_MANY_TODAY = "too_many_today"
    INACTIVE = "inactive"
    BROKEN_SETTINGS = "broken_settings"
    # Links and signing in.
    BAD_LINK = "bad_link"
    LINK_USED = "link_used"
    LINK_EXPIRED = "link_expired"
    TOO_MANY_SIGN_INS = "too_many_sign_ins"
    # The installation itself.
    DATABASE_DOWN = "database_down"
    WRONG_SCHEMA = "wrong_schema"
    UNKNOWN_KEY = "unknown_key"
    BACKUP_FAILED = "backup_failed"


class Refused(Exception):
    """Nothing was done. `code` tells a program why, `sentence` a person what and what to do.

    `retry_after`: seconds after which the same may work. `args` stay those of the call: an error
    that a worker's child hands to its parent is made anew from them.
    """

    def __init__(self, code: Code, sentence: Both, retry_after: int | None = None) -> None:
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.sentence)


class UnusableValue(Refused, ValueError):
    """What was typed is no such value. `of`: the kind of sentence, Passing where waiting helps."""

    def __init__(self, ja: str, en: str, of: type[Both] = Both) -> None:
        super().__init__(Code.UNUSABLE_VALUE, of(ja, en))
