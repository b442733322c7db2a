"""A tool of agents: declared once beside its function, for lists, checks and schemas.

@tool("My open tasks", "…", Scope.READ, MyTasksAsked, MyTaskList)
def my_tasks(call: Call, asked: MyTasksAsked) -> Found: ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from app.access.api_tokens import Scope
from app.api.mcp.answers import DATA_NOT_ORDERS, AgentAnswer
from app.api.openapi import inlined
from app.api.operation import Answered, Asked, Call

V = TypeVar("V", bound=Callable[..., Any])


class Found(NamedTuple):
    """What a tool found, and the path of the page that shows it."""

    data: Answered
    page: str


@dataclass(frozen=True)
class Tool:
    """One tool. `asked`, `data`: the models of its arguments, and of what it finds. `effect`: what
    a writing one does; see ToolAnnotations of the specification.
    """

    title: str
    does: str
    scope: Scope
    asked: type[Asked]
    data: type[Answered]
    act: Callable[[Call, Any], Found]
    effect: Mapping[str, bool]

    @property
    def name(self) -> str:
        """By which it is called."""
        return self.act.__name__

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return bool(self.effect)

    @cached_property
    def described(self) -> dict[str, Any]:
        """As tools/list says it."""
        answer = AgentAnswer[self.data]  # type: ignore[name-defined]  # known when it runs
        reads = {"readOnlyHint": True, "openWorldHint": False}
        return {
            "name": self.name,
            "title": self.title,
            "description": f"{self.does} {DATA_NOT_ORDERS}",
            "inputSchema": inlined(self.asked),
            "outputSchema": answer.model_json_schema(mode="serialization"),
            "annotations": {"title": self.title, **(self.effect or reads)},
        }


TOOLS: dict[str, Tool] = {}


def tool(
    title: str,
    does: str,
    scope: Scope,
    asked: type[Asked],
    data: type[Answered],
    **effect: bool,
) -> Callable[[V], V]:
    """Declares the function as a tool; one with an `effect` writes."""
    hints = {f"{name}Hint": value for name, value in effect.items()}
    if hints:
        hints = {"readOnlyHint": False, "openWorldHint": False, **hints}

    def declare(act: V) -> V:
        one = Tool(title, does, scope, asked, data, act, hints)
        TOOLS[one.name] = one
        return act

    return declare
