"""Reading what a program sent: bounded before it is looked at, and every fault named at once."""

import json
import re
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from app.api.operation import Asked
from app.api.problems import BadCall, FieldFault, FieldsRefused, pointer
from app.locale import Both
from app.util.parse import shown

MOST_BYTES = 200_000  # a report of 10,000 characters, each of them escaped, fits
MOST_DEEP = 8  # objects and lists within each other
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")

A = TypeVar("A", bound=Asked)


def body(model: type[A], sent: bytes) -> A:
    """The JSON body as the model. Raises BadCall, FieldsRefused."""
    if not isinstance(found := document(sent), dict):
        raise BadCall(400, _NO_OBJECT)
    return checked(model, found)


def document(sent: bytes, most_deep: int = MOST_DEEP) -> Any:
    """What the JSON says. What parsers disagree about is refused: a key twice, NaN, half a
    surrogate pair. Raises BadCall.
    """
    try:
        text = sent.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCall(400, _NOT_UTF_8) from None
    _check_depth(text, most_deep)
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except ValueError as error:
        raise BadCall(400, _no_json(error)) from None
    _check_strings(found)
    return found


def checked(model: type[A], found: dict[str, Any]) -> A:
    """An object of a document as the model. Raises FieldsRefused with all faults."""
    try:
        return model.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise _refused("pointer", error) from None


def query(model: type[A] | None, args: "MultiDict[str, str]") -> A | None:
    """The query's parameters as the model; without a model there may be none. Raises FieldsRefused."""
    twice = [name for name in args if len(args.getlist(name)) > 1]
    faults = [FieldFault("parameter", name[:100], _TWICE) for name in twice]
    faults += [FieldFault("parameter", name[:100], _HALF) for name in args if "\0" in args[name]]
    if model is None:
        faults += [FieldFault("parameter", name[:100], _UNKNOWN) for name in args]
    if faults:
        raise FieldsRefused(faults)
    if model is None:
        return None
    try:
        return model.model_validate_strings(dict(args), strict=False)
    except ValidationError as error:
        raise _refused("parameter", error) from None


def _check_depth(text: str, most_deep: int) -> None:
    """Before any parser works on it."""
    deep = 0
    for sign in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        deep += 1 if sign in "[{" else -1
        if deep > most_deep:
            raise BadCall(400, _deep(most_deep))


def _check_strings(value: Any) -> None:
    """Names and values of all objects; how deep they nest was looked at."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for one in value:
            _check_strings(one)
    elif isinstance(value, str) and _NO_TEXT.search(value):
        raise BadCall(400, _HALF)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadCall(400, _TWICE_KEY)
    return found


def _no_number(word: str) -> NoReturn:
    raise BadCall(400, Both(f"{word} は JSON の数値ではありません。", f"{word} is no JSON number."))


def _refused(place: str, error: ValidationError) -> FieldsRefused:
    return FieldsRefused(
        [
            FieldFault(
                place,
                (pointer(one["loc"]) if place == "pointer" else ".".join(map(str, one["loc"])))[
                    :200
                ],
                _words(one["type"], one.get("ctx", {}), one["msg"]),
            )
            for one in error.errors(include_url=False, include_input=False)[:50]
        ]
    )


def _words(kind: str, context: dict[str, Any], message: str) -> Both:
    """pydantic's kind of error in both languages; one that is not known here says its English words."""
    found = _KINDS.get(kind)
    if found is None:
        return Both(f"この値は使えません({message})。", f"{message}.")
    known = {name: shown(str(value)) for name, value in context.items()}
    return Both(found.ja.format(**known), found.en.format(**known))


def _no_json(error: ValueError) -> Both:
    at = getattr(error, "pos", 0)
    return Both(
        f"JSON として読めません({at}文字目の付近)。", f"This is no JSON (near character {at})."
    )


def _deep(most: int) -> Both:
    return Both(f"入れ子は{most}段までです。", f"Objects and lists nest at most {most} deep.")


_UNKNOWN = Both("この項目はありません。", "There is no such field.")
_TWICE = Both("1回だけ書いてください。", "Say it once.")
_TEXT = Both("文字列で書いてください。", "Write a string.")
_WHOLE = Both("整数で書いてください。", "Write a whole number.")
_DATE = Both("2026-11-24 の形の日付で書いてください。", "Write a date like 2026-11-24.")
_KINDS = {
    "missing": Both("必須の項目です。", "It is required."),
    "extra_forbidden": _UNKNOWN,
    "string_type": _TEXT,
    "string_too_long": Both(
        "{max_length}文字以内にしてください。", "At most {max_length} characters fit."
    ),
    "string_too_short": Both("空にはできません。", "It cannot be empty."),
    "string_pattern_mismatch": Both("この形では使えません。", "It does not have the right form."),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "bool_type": Both("true か false で書いてください。", "Write true or false."),
    "greater_than_equal": Both("{ge} 以上にしてください。", "It must be at least {ge}."),
    "less_than_equal": Both("{le} 以下にしてください。", "It must be at most {le}."),
    "literal_error": Both("次のどれかにしてください: {expected}", "Write one of: {expected}"),
    "enum": Both("次のどれかにしてください: {expected}", "Write one of: {expected}"),
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
}
_NOT_UTF_8 = Both("本文が UTF-8 ではありません。", "The body is not UTF-8.")
_NO_OBJECT = Both(
    "本文は JSON のオブジェクト {…} にしてください。", "The body must be an object {…}."
)
_HALF = Both(
    "文字列に、文字ではないもの(NUL、片方だけのサロゲート)があります。",
    "A string holds what is no text: NUL, or half of a surrogate pair.",
)
_TWICE_KEY = Both("同じ名前の項目が2回あります。", "A name stands twice in one object.")
