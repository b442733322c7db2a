"""The official client of MCP, over loopback, against the application as gunicorn serves it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import clock
from app.access import api_tokens
from app.db import Database
from app.models import ApiCall, Audit, OutboxMail, Report, State, Task
from app.reminders import plan
from app.services import Services
from tests.conftest import NOW, People, task
from tests.test_mcp import INJECTION
from tests.test_web_logs import gunicorn

pytestmark = [pytest.mark.slow, pytest.mark.pages]


@pytest.fixture
def key(services: Services, db: Database, team: People) -> str:
    """Of the lead, with all scopes; it is eleven, and no reminder of the morning went out."""
    with db.write() as session:
        session.add_all([task("T-1", team.suzuki), task("T-2", team.sato)])
    plan(services, NOW)
    with db.write() as session:
        session.execute(update(OutboxMail).values(state=State.CANCELLED))
        session.execute(update(Task).values(title=INJECTION))
    scopes = ["read", "report", "send", "data"]
    return api_tokens.create(services, team.sato.email, "agent", scopes, who="test", now=NOW)


@pytest.fixture
def url(environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Where the application answers."""
    later = (NOW + timedelta(hours=2) - clock.of_the_machine()).total_seconds()
    served = {**environ, "MCP_SERVER": "on", "TEST_CLOCK_OFFSET": str(later)}
    with gunicorn(served, tmp_path / "web.log") as port:
        yield f"http://127.0.0.1:{port}/mcp"


async def call_all(
    url: str, key: str, mode: str, arguments: dict[str, dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """The version that both speak, and what each tool of the list answers."""
    from mcp.client import Client  # noqa: PLC0415 - half a second, for this test alone
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - half a second, for this test alone
    from mcp.shared._httpx_utils import create_mcp_http_client  # noqa: PLC0415 - half a second, for this test alone

    headers = {"Authorization": f"Bearer {key}"}
    async with create_mcp_http_client(headers) as line:
        way = streamable_http_client(url, http_client=line)
        async with Client(way, mode=mode) as client:
            listed = await client.list_tools()
            found = {}
            for tool in listed.tools:  # each answer is checked against its schema by the client
                found[tool.name] = await client.call_tool(tool.name, arguments.get(tool.name, {}))
            return client.protocol_version, found


def counted(db: Database) -> list[int]:
    with db.read() as session:
        tables = (OutboxMail, Report, Audit, ApiCall)
        return [session.scalar(select(func.count()).select_from(one)) or 0 for one in tables]


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_the_official_client_lists_and_calls_every_tool(
    url: str, key: str, db: Database, team: People, *, mode: str, version: str
) -> None:
    before = counted(db)
    report = {"task_ref": "T-2", "percent": 30, "status": "on_track", "form_key": mode}
    arguments: dict[str, dict[str, Any]] = {
        "report_progress": report,
        "member_days": {"member": team.suzuki.email},
        "why_mail": {"member": team.suzuki.email},
        "add_leave": {"first": "2026-12-28"},
        "send_reminder": {"member": team.suzuki.email},
    }
    spoken, found = asyncio.run(call_all(url, key, mode, arguments))
    assert spoken == version
    assert len(found) == 8
    for name, one in found.items():
        assert not one.is_error, (name, one)
        assert json.loads(one.content[0].text) == one.structured_content
    assert found["my_tasks"].structured_content["data"]["items"][0]["title"] == INJECTION
    # What its writing tools did, and nothing else: one reminder, one report, leave and nudge, one key.
    assert [now - then for now, then in zip(counted(db), before, strict=True)] == [1, 1, 2, 1]
    with db.read() as session:
        made = session.scalars(select(Report)).one()
        assert (made.via, made.percent) == ("mcp", 30)
