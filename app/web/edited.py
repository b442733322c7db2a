"""A form over stored values: what was changed on it, and what it was opened with.

Each field goes with a hidden `was.NAME` (`ui.was`). Only what a person changed is sent on to the
use case, so a page that lay open restores nothing that was changed meanwhile; where both
changed the same field, the use case refuses it by name (`ChangedMeanwhile`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flask import request

from app.locale import Both
from app.people.values import ChangedMeanwhile, ValuesRefused
from app.web.refusals import status_of

_WAS = "was."


@dataclass(frozen=True, slots=True)
class Edited:
    """The fields of the form that was sent: `typed` where changed, and `was` of all."""

    typed: Mapping[str, str]
    was: Mapping[str, str]

    @classmethod
    def of(cls, names: Iterable[str], read: Callable[[str], str]) -> "Edited":
        """Of those `names` that the form has; `read` gives a field as the page reads it.

        A field without its `was` (a button of its own, a script) counts as changed.
        """
        sent = {name: read(name) for name in names if name in request.form}
        was = {
            name: request.form[f"{_WAS}{name}"] for name in sent if f"{_WAS}{name}" in request.form
        }
        changed = {name: one for name, one in sent.items() if request.form[name] != was.get(name)}
        return cls(changed, was)

    def again(self, stored: Mapping[str, str], error: ValuesRefused) -> "Again":
        """The form once more: what was typed over what is stored now.

        A field that was changed meanwhile counts as seen: sent once more, it is overwritten.
        """
        faults = dict(error.faults)
        seen = faults.keys() if isinstance(error, ChangedMeanwhile) else ()
        kept = {
            name: self.was[name] for name in self.typed if name in self.was and name not in seen
        }
        return Again({**stored, **self.typed}, {**stored, **kept}, faults, status_of(error))


@dataclass(frozen=True, slots=True)
class Again:
    """A refused form as it is shown again."""

    typed: Mapping[str, str]
    was: Mapping[str, str]
    faults: Mapping[str, Both]
    status: int = 200


def fresh(stored: Mapping[str, str]) -> Again:
    """The form as it is opened."""
    return Again(stored, stored, {})
