"""PURE. How the program refuses: a word that never changes, and a sentence for people.

Each door turns the word into what it has: the pages into a page (app/web/refusals.py), the API
into a problem (app/api/problems.py), the commands into an exit code (app/cli/refusals.py).
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
    # API tokens, and calls.
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - a word for programs
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - the same
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - the same
    TOKEN_GONE = "token_gone"  # noqa: S105 - the same
    MISSING_SCOPE = "missing_scope"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY_CALLS = "too_many_calls"
    KEY_REUSED = "key_reused"
    CALL_IN_PROGRESS = "call_in_progress"
    # The installation itself.
    DATABASE_DOWN = "database_down"
    WRONG_SCHEMA = "wrong_schema"
    UNKNOWN_KEY = "unknown_key"
    BACKUP_FAILED = "backup_failed"


# What both doors that speak HTTP answer; of the other codes each has its own.
HTTP_STATUS = {
    Code.UNUSABLE_VALUE: 422,
    Code.UNUSABLE_VALUES: 422,
    Code.UNUSABLE_FILE: 422,
    Code.KEY_REUSED: 422,
    Code.CHANGED_MEANWHILE: 409,
    Code.NOT_POSSIBLE: 409,
    Code.LAST_ADMIN: 409,
    Code.NO_SUCH_MEMBER: 404,
    Code.NO_SUCH_TEAM: 404,
    Code.NO_SUCH_TASK: 404,
    Code.NO_SUCH_MAIL: 404,
    Code.NO_SUCH_FILE: 404,
    Code.NO_SUCH_DAYS: 404,
    Code.BAD_LINK: 404,
    Code.TOKEN_GONE: 404,
    Code.LINK_USED: 410,
    Code.LINK_EXPIRED: 410,
    Code.TOKEN_UNKNOWN: 401,
    Code.TOKEN_EXPIRED: 401,
    Code.TOKEN_REVOKED: 401,
    Code.MISSING_SCOPE: 403,
    Code.NOT_ALLOWED: 403,
    Code.TOO_MANY_CALLS: 429,
    Code.TOO_MANY_SIGN_INS: 429,
    Code.DATABASE_DOWN: 503,
    Code.WRONG_SCHEMA: 503,
    Code.UNKNOWN_KEY: 503,
    Code.BACKUP_FAILED: 500,
}


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
