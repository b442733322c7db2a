"""An operation of the API: declared once beside its function, for routing, checks and document.

    @operation("GET", "/members/{member_id}", "members", words, Scope.READ)
    def member(call: Call, member_id: int) -> MemberEntry: ...

The function takes what was asked for as checked models, calls one use case and returns a model. It
knows no HTTP, so another door may call it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, Self, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from app.access.api_tokens import Caller, Scope
from app.locale import Both
from app.models import LARGEST_ID, Via
from app.refused import Code, Refused
from app.services import Services
from app.util.dates_and_numbers import FIRST_DAY, LAST_DAY

V = TypeVar("V", bound=Callable[..., Any])
Method = Literal["GET", "POST", "PATCH", "DELETE"]


# The number of a row; what no row can have is refused before a database sees it.
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
# A date that can be meant; beyond, it is a slip of the finger.
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]


class Asked(BaseModel):
    """What a program sends: no field that is not declared, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Paged(Asked):
    """A piece of a list, the newest first."""

    before: RowId | None = Field(None, description="only ids below this one")
    limit: int = Field(50, ge=1, le=100)


class Answered(BaseModel):
    """What a program gets."""

    model_config = ConfigDict(from_attributes=True)


class ListEntry(Answered):
    """What a list holds, by its number."""

    id: int


E = TypeVar("E", bound=ListEntry)


class Piece(Answered, Generic[E]):
    """A piece of a list; `next` is the `before` of the piece that follows, null at the end."""

    items: list[E]
    next: int | None

    @classmethod
    def of(cls, found: Sequence[object], asked: Paged) -> Self:
        """What was found for `asked`, the newest first."""
        piece = cls.model_validate({"items": found, "next": None})
        last = piece.items[-1].id if len(found) == asked.limit else None
        return piece.model_copy(update={"next": last})


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, with what the use cases work with; `now` is asked for once."""

    services: Services
    caller: Caller
    now: datetime
    via: Via = Via.API

    def require_admin(self) -> None:
        """Raises Refused unless the token's owner is an admin."""
        if not self.caller.me.is_admin:
            raise Refused(Code.NOT_ALLOWED, _ADMINS)

    def require_real(self) -> None:
        """Raises Refused for a test token: this changes what is sent to others, or when."""
        if self.caller.test:
            raise Refused(Code.NOT_ALLOWED, _TRIAL)


class Reply(NamedTuple):
    """An answer with another status than the operation's usual one, or with a Location."""

    model: BaseModel
    status: int
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `answers`: the good statuses, the usual one first; `refuses`: codes of
    refusals that are its own. `example`: values of path, query and body for which it answers so.
    """

    method: Method
    path: str
    tag: str
    summary: Both
    view: Callable[..., BaseModel | Reply]
    scope: Scope | None
    answers: Mapping[int, type[BaseModel]]
    query: type[Asked] | None = None
    body: type[Asked] | None = None
    refuses: Sequence[Code] = ()
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its operationId."""
        return self.view.__name__

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"


OPERATIONS: list[Operation] = []


def operation(
    method: Method, path: str, tag: str, summary: Both, scope: Scope | None, **more: Any
) -> Callable[[V], V]:
    """Declares the function as an operation; `more`: see `Operation`.

    Its parameter `asked` is the query, `body` the body, and what it returns the answer with 200
    where `more` names none.
    """

    def declare(view: V) -> V:
        said = get_type_hints(view)
        asked = {"query": said.get("asked"), "body": said.get("body")}
        known = {"answers": {200: said["return"]}, **asked, **more}
        OPERATIONS.append(Operation(method, path, tag, summary, view, scope, **known))
        return view

    return declare


_TRIAL = Both(
    "試験用のトークンでは、送信を止めること、再開すること、メールを取り消すことはできません。",
    "A token for trying out neither stops nor starts sending, and cancels no mail.",
)
_ADMINS = Both("管理者のトークンだけができる操作です。", "Only the token of an admin may do this.")
