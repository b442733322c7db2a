"""What a refusal is to a program: a problem document (RFC 9457) with the refusal's code.

`title` is English and never changes, `detail` is in the language that the program asks for.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from app.locale import Both
from app.people.values import ValuesRefused
from app.refused import HTTP_STATUS, Code, Refused

CONTENT_TYPE = "application/problem+json"
PAGE = "/api/docs"  # what the type of a problem leads to
QUOTA = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_IT_IS_SO = 409  # where the code alone does not say: as things stand now it cannot be done

# What HTTP itself refuses: status -> code and sentence.
HTTP: dict[int, tuple[str, Both]] = {
    400: ("bad_request", Both("リクエストを読み取れません。", "The request cannot be read.")),
    404: (
        "not_found",
        Both("このアドレスには何もありません。", "There is nothing at this address."),
    ),
    405: (
        "wrong_method",
        Both(
            "このアドレスでは使えないメソッドです。Allow が使えるものです。",
            "This address does not know that method; Allow names those it does.",
        ),
    ),
    413: ("too_large", Both("本文が大きすぎます。", "The body is too large.")),
    414: ("too_long", Both("アドレスが長すぎます。", "The address is too long.")),
    415: (
        "wrong_type",
        Both(
            "本文は JSON にして、Content-Type: application/json で送ってください。",
            "Send the body as JSON, with Content-Type: application/json.",
        ),
    ),
    431: ("headers_too_long", Both("ヘッダーが長すぎます。", "A header is too long.")),
    500: (
        "internal",
        Both(
            "プログラムの誤りです。運用担当者に知らせてください。",
            "This is a fault of ours. Please tell the person who runs Task Progress.",
        ),
    ),
}


def status_of(code: Code) -> int:
    """The HTTP status."""
    return HTTP_STATUS.get(code, _IT_IS_SO)


class FieldFault(NamedTuple):
    """What is wrong with one field. `place`: "pointer" (JSON Pointer into the body), or "parameter"."""

    place: str
    name: str
    sentence: Both


class FieldsRefused(Refused):
    """Fields of body or query cannot be used; all of them are named."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__(Code.UNUSABLE_VALUES, _FIELDS)
        self.faults = faults


class BadCall(Refused):
    """The call breaks a rule of HTTP or of this door; `status` is one of HTTP."""

    def __init__(self, status: int, sentence: Both | None = None) -> None:
        super().__init__(Code.UNUSABLE_VALUE, sentence or HTTP[status][1])
        self.status = status


class FieldProblem(BaseModel):
    """One field that cannot be used."""

    pointer: str | None = None
    parameter: str | None = None
    detail: str


class Problem(BaseModel):
    """Why a call was refused."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = None


def problem(refused: Refused, locale: str) -> Problem:
    """The document of a refusal."""
    code, status = str(refused.code), status_of(refused.code)
    if isinstance(refused, BadCall):
        code, status = HTTP[refused.status][0], refused.status
    faults = [
        FieldProblem.model_validate({one.place: one.name, "detail": one.sentence.to(locale)})
        for one in _faults(refused)
    ]
    return Problem(
        type=QUOTA if status == 429 else f"{PAGE}#{code}",
        title=title(code),
        status=status,
        detail=(_FIELDS if faults else refused.sentence).to(locale),
        code=code,
        errors=faults or None,
    )


def title(code: str) -> str:
    """The stable English title of a code."""
    return code.replace("_", " ").capitalize()


def _faults(refused: Refused) -> Sequence[FieldFault]:
    if isinstance(refused, FieldsRefused):
        return refused.faults
    if isinstance(refused, ValuesRefused):
        return [FieldFault("pointer", pointer([key]), words) for key, words in refused.faults]
    return ()


def pointer(place: Sequence[Any]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


_FIELDS = Both(
    "使えない値があります。errors に項目ごとの理由があります。",
    "Some values cannot be used; errors says which, and why.",
)
