"""Why something about a backup did not work, in both languages."""

from app.locale import Both
from app.refused import Code, Refused


class BackupFailed(Refused):
    """It was not done; the sentence says why, and what to do."""

    def __init__(self, ja: str, en: str) -> None:
        super().__init__(Code.BACKUP_FAILED, Both(ja, en))
