"""The rules of the house, read from the source itself: which room may know what."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
APP = PROJECT / "app"

# Quiet by the plan of the house; other modules join by beginning their docstring with QUIET.
QUIET = ("due", "workdays", "compose", "parse", "words", "util/message", "util/address")
NOISY = {"flask", "sqlalchemy", "celery", "redis", "smtplib", "os"}
DOORS = ("web", "api", "cli", "tasks")

# Who else may look at the environment, and why.
READS_THE_ENVIRONMENT = {
    "config": "it is the one place",
    "local": "it hands its own environment on to the programs it starts",
    "cli/words": "LANG says which language the shell of this person speaks; no setting of ours",
}

MOST_LINES = 400


def room(name: str) -> list[Path]:
    """The files of a room: app/name.py, or all of app/name/."""
    return [*APP.glob(f"{name}.py"), *APP.glob(f"{name}/**/*.py")]


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def place(file: Path, node: ast.AST | None = None) -> str:
    return f"{file.relative_to(PROJECT)}:{getattr(node, 'lineno', 1)}"


def imports(file: Path) -> Iterator[tuple[str, ast.AST]]:
    """Everything `file` imports, also inside functions, as (dotted name, node)."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Everything `file` calls, as written: "datetime.now", "clock.now"."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def is_part_of(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def texts() -> Iterator[Path]:
    """Every text file that belongs to the project."""
    folders = (
        ".ci",
        "app",
        "bench",
        "chaos",
        "deploy",
        "docs",
        "e2e",
        "migrations",
        "rehearsal",
        "tests",
        "tools",
    )
    for folder in folders:
        yield from (f for f in (PROJECT / folder).glob("**/*") if f.is_file() and is_text(f))
    # In a second work tree `.git` is a file, and no part of the project.
    here = (f for f in PROJECT.glob("*") if f.name != ".git")
    yield from (f for f in here if f.is_file() and is_text(f))


def is_text(file: Path) -> bool:
    return "__pycache__" not in file.parts and b"\x00" not in file.read_bytes()[:1024]


def is_quiet(file: Path) -> bool:
    said_so = (ast.get_docstring(tree(file)) or "").startswith("QUIET")
    return said_so or any(file in room(name) for name in QUIET)


def module(file: Path) -> str:
    """The name by which `file` is imported: app.util.message."""
    parts = file.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ALL = sorted(APP.glob("**/*.py"))
QUIET_FILES = [file for file in ALL if is_quiet(file)]


@pytest.mark.parametrize("file", QUIET_FILES, ids=place)
def test_a_quiet_room_touches_nothing(file: Path) -> None:
    loud = [
        f"{place(file, node)} {name}" for name, node in imports(file) if is_part_of(name, NOISY)
    ]
    assert loud == []


@pytest.mark.parametrize("file", QUIET_FILES, ids=place)
def test_a_quiet_room_knows_only_quiet_rooms(file: Path) -> None:
    quiet = {module(other) for other in QUIET_FILES}
    loud = [
        f"{place(file, node)} {name}"
        for name, node in imports(file)
        if is_part_of(name, {"app"}) and not is_part_of(name, quiet)
    ]
    assert loud == []


def test_only_the_clock_looks_at_the_time_of_day() -> None:
    lookers = [
        f"{place(file, node)} calls {called}"
        for file in ALL
        if file != APP / "clock.py"
        for called, node in calls(file)
        if re.search(r"\b(date(time)?\.(now|today)|utcnow|utcfromtimestamp|time\.time)$", called)
    ]
    assert lookers == []


@pytest.mark.parametrize("file", QUIET_FILES, ids=place)
def test_a_quiet_room_is_told_what_time_it_is(file: Path) -> None:
    asked = r"(^|\.)(now|utcnow|today|monotonic|perf_counter|localtime)$"
    askers = [f"{place(file, n)} {called}" for called, n in calls(file) if re.search(asked, called)]
    assert askers == []


@pytest.mark.parametrize("name", DOORS)
def test_a_door_knows_no_database_and_no_mail_server(name: str) -> None:
    reach = [
        f"{place(file, node)} imports {imported}"
        for file in room(name)
        for imported, node in imports(file)
        if is_part_of(imported, {"sqlalchemy", "app.util.mailer", "smtplib"})
    ]
    assert reach == []


@pytest.mark.parametrize("name", ["outbox", "reminders", "digest", "compose", "cli"])
def test_nobody_on_the_way_of_a_mail_can_ask_an_ai(name: str) -> None:
    """A letter may look at what is stored; the question is asked on the ai queue alone."""
    asked = [
        f"{place(file, node)} imports {imported}"
        for file in room(name)
        for imported, node in imports(file)
        if is_part_of(imported, {"app.ai", "openai"}) and imported != "app.ai.stored"
    ]
    assert asked == []


def test_only_the_settings_read_the_environment() -> None:
    allowed = {file for name in READS_THE_ENVIRONMENT for file in room(name)}
    readers = [
        place(file, node)
        for file in ALL
        if file not in allowed
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    ]
    assert readers == []


@pytest.mark.parametrize("file", ALL, ids=place)
def test_a_module_fits_a_head(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """The public functions and classes of a module, and what is public in those classes."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


@pytest.mark.parametrize("file", ALL, ids=place)
def test_what_is_public_says_what_it_is(file: Path) -> None:
    silent = [f"{place(file, n)} {n.name}" for n in public(tree(file)) if not said(n)]
    assert silent == []


def said(node: ast.FunctionDef | ast.ClassDef) -> bool:
    overload = any("overload" in ast.unparse(mark) for mark in node.decorator_list)
    return overload or bool(ast.get_docstring(node))


EXEMPTION = re.compile(r"# (noqa|type: ignore)\b")
REASONED = re.compile(r"# (noqa: [A-Z0-9, ]+?|type: ignore\[[\w, -]+\])  ?[#-] \w")


def test_every_exemption_has_its_reason_beside_it_or_above() -> None:
    bare = [
        f"{file.relative_to(PROJECT)}:{number + 1}"
        for folder in ("app", "rehearsal", "tests", "tools", "migrations")
        for file in (PROJECT / folder).glob("**/*.py")
        for lines in [["", *file.read_text(encoding="utf-8").splitlines()]]
        for number, (above, line) in enumerate(pairwise(lines))
        if EXEMPTION.search(line) and not REASONED.search(line)
        if not above.strip().startswith("#") and file != Path(__file__)
    ]
    assert bare == []


def test_no_test_replaces_our_own_code() -> None:
    fakes = [
        f"{place(file, node)} imports {imported}"
        for file in (PROJECT / "tests").glob("**/*.py")
        for imported, node in imports(file)
        if is_part_of(imported, {"unittest.mock", "mock", "freezegun"})
    ]
    assert fakes == []


@pytest.mark.parametrize("name", ["run.txt", "ai.txt", "dev.txt"])
def test_a_lock_names_no_address_and_no_index(name: str) -> None:
    lock = (PROJECT / "requirements" / name).read_text()
    assert "://" not in lock
    assert re.search(r"^\s*-(?!-hash=)", lock, re.MULTILINE) is None
    assert all("==" in line or "--hash=" in line for line in lock.splitlines() if line.strip())


def test_the_tools_run_on_the_same_versions_as_the_program() -> None:
    run, ai, dev = (
        set(re.findall(r"^\S+==\S+", (PROJECT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("run.txt", "ai.txt", "dev.txt")
    )
    assert run - ai == set()
    assert ai - dev == set()


@pytest.mark.parametrize("name", ["run.in", "ai.in", "dev.in"])
def test_every_dependency_has_its_reason(name: str) -> None:
    wanted = (PROJECT / "requirements" / name).read_text()
    page = (PROJECT / "docs/dependencies.md").read_text(encoding="utf-8")
    packages = re.findall(r"^([a-z][a-z0-9-]*)", wanted, re.MULTILINE)
    assert packages
    assert [package for package in packages if f"\n| {package} | " not in page] == []


def test_the_page_of_dependencies_lists_nothing_else() -> None:
    page = (PROJECT / "docs/dependencies.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| ([a-z0-9-]+) \|", page, re.MULTILINE)) - {"package"}
    lists = ("run.in", "ai.in", "dev.in")
    wanted = "\n".join((PROJECT / "requirements" / name).read_text() for name in lists)
    assert named - {"---"} == set(re.findall(r"^([a-z][a-z0-9-]*)", wanted, re.MULTILINE))


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    somewhere = re.compile(r"(?<![\w.*])/(work|root|Users)/\w|/tmp/(design|tools)\b")
    knowing = [
        f"{place(file)} {found[0]}"
        for file in texts()
        if file != Path(__file__)
        and (found := somewhere.search(file.read_text(encoding="utf-8", errors="replace")))
    ]
    assert knowing == []


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = PROJECT / "README.md"
    if not readme.exists():
        pytest.skip("no README yet")
    text = readme.read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text


def test_the_makefile_explains_every_target() -> None:
    lines = (PROJECT / "Makefile").read_text(encoding="utf-8").splitlines()
    targets = [line for line in lines if re.match(r"[a-z0-9-]+:", line)]
    assert targets
    assert [line for line in targets if "## " not in line or " / " not in line] == []
