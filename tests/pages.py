"""Every page that has an address of its own, and who opens it: a new page joins by one line.

Opened in a browser by `make e2e` (axe, both languages and themes, two widths) and `make
screenshots`, timed by bench/web.py.
"""

from typing import Literal, NamedTuple

Reader = Literal["anybody", "member", "lead", "admin"]

# Of the sample team.
EMAILS: dict[Reader, str] = {
    "member": "suzuki.ichiro@example.jp",
    "lead": "sato.hanako@example.jp",
    "admin": "shacho@example.jp",
}


class Page(NamedTuple):
    """A page; `name` names its picture."""

    name: str
    path: str
    reader: Reader = "anybody"
    status: int = 200


PAGES = (
    Page("login", "/login"),
    Page("not-found", "/nowhere", status=404),
    Page("my-tasks", "/", "member"),
    Page("task-new", "/tasks/new", "member"),
    Page("task", "/tasks/3", "member"),
    Page("settings", "/settings", "member"),
    Page("leave", "/settings/leave", "member"),
    Page("data", "/settings/data", "member"),
    Page("tokens", "/settings/tokens", "member"),
    Page("outbox", "/outbox", "admin"),
    Page("why", "/why?member=suzuki.ichiro@example.jp", "admin"),
    Page("admin", "/admin", "admin"),
    Page("admin-members", "/admin/members", "admin"),
    Page("admin-member", "/admin/members/2", "admin"),
    Page("admin-member-new", "/admin/members/new", "admin"),
    Page("admin-teams", "/admin/teams", "admin"),
    Page("admin-settings", "/admin/settings", "admin"),
    Page("admin-days-off", "/admin/days-off", "admin"),
    Page("admin-import", "/admin/import", "admin"),
    Page("admin-tokens", "/admin/tokens", "admin"),
    Page("admin-audit", "/admin/audit", "admin"),
    Page("team", "/team", "lead"),
    Page("team-all", "/team", "admin"),
    Page("team-nobody", "/team?q=nobody", "lead"),
    Page("team-member", "/team/3", "admin"),
)
