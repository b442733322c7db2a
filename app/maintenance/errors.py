"""Why something about a backup did not work, in both languages."""

from app.locale import Both


class CareError(Exception):
    """It was not done; the sentence says why, and what to do."""

    def __init__(self, ja: str, en: str) -> None:
        self.sentence = Both(ja, en)
        super().__init__(str(self.sentence))
