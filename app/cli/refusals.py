"""What a refusal is to a shell: its exit code, and whether the command's usage helps.

What was typed is wrong usage, and so is an installation that is not this program's: 2. All others
are 1: it could not be done.
"""

from app.refused import Code

USAGE = frozenset({Code.UNUSABLE_VALUE, Code.UNUSABLE_VALUES, Code.CHANGED_MEANWHILE})
_CONFIGURATION = frozenset({Code.WRONG_SCHEMA, Code.UNKNOWN_KEY})
FAILED, WRONG_USAGE = 1, 2


def exit_code(code: Code) -> int:
    """1 or 2."""
    return WRONG_USAGE if code in USAGE | _CONFIGURATION else FAILED
