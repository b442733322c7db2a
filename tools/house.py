"""The rules of the house, read from the source itself: `make lint` runs them all.

What import-linter checks (which room may know which) stands in pyproject.toml. Each function here
returns what breaks one rule, as "file:line what"; its docstring is the rule.
"""

import ast
import re
import statistics
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
APP = PROJECT / "app"

# Pure rooms; a module of another room joins by beginning its docstring with PURE.
PURE = ("rules", "compose", "locale", "mime/message", "mime/address", "util/parse")
IMPURE = {"flask", "sqlalchemy", "celery", "redis", "smtplib", "os"}
DOORS = ("web", "api", "cli", "tasks")
# Who else may look at the environment, and why.
READS_THE_ENVIRONMENT = {
    "config": "it is the one place",
    "local": "it hands its own environment on to the programs it starts",
    "cli/language": "LANG says which language the shell of this person speaks; no setting of ours",
}
MOST_LINES = 400  # of a file
LONGEST = 60  # lines of a function
LONG = 20  # lines that nine of ten functions do not exceed
FOLDERS = (".ci", "app", "bench", "chaos", "deploy", "docs", "e2e", "migrations", "rehearsal", "tests",
           "tools")  # fmt: skip


def room(name: str) -> list[Path]:
    """The files of a room: app/name.py, or all of app/name/."""
    return [*APP.glob(f"{name}.py"), *APP.glob(f"{name}/**/*.py")]


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """All of a file's syntax: half of the time of these rules went into walking it again."""
    return (*ast.walk(tree(file)),)


def place(file: Path, node: ast.AST | None = None) -> str:
    """Where a rule is broken."""
    return f"{file.relative_to(PROJECT)}:{getattr(node, 'lineno', 1)}"


@cache
def imports(file: Path) -> list[tuple[str, ast.AST]]:
    """Everything `file` imports, also inside functions, as (dotted name, node)."""
    found: list[tuple[str, ast.AST]] = []
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(f"{node.module}.{alias.name}", node) for alias in node.names]
    return found


@cache
def calls(file: Path) -> list[tuple[str, ast.Call]]:
    """Everything `file` calls, as written: "datetime.now", "clock.now"."""
    return [(ast.unparse(n.func), n) for n in nodes(file) if isinstance(n, ast.Call)]


def is_part_of(name: str, modules: set[str]) -> bool:
    """Whether the dotted name lies in one of the modules."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def texts() -> Iterator[Path]:
    """Every text file that belongs to the project."""
    for folder in FOLDERS:
        yield from (f for f in (PROJECT / folder).glob("**/*") if f.is_file() and is_text(f))
    # In a second work tree `.git` is a file, and no part of the project.
    here = (f for f in PROJECT.glob("*") if f.name != ".git")
    yield from (f for f in here if f.is_file() and is_text(f))


def is_text(file: Path) -> bool:
    """No compiled file, no picture."""
    return "__pycache__" not in file.parts and b"\x00" not in file.read_bytes()[:1024]


def files() -> list[Path]:
    """The modules of the program."""
    return sorted(APP.glob("**/*.py"))


@cache
def pure() -> list[Path]:
    """The modules that decide and compose, and touch nothing."""
    named = {file for name in PURE for file in room(name)}
    said = "PURE"
    return [f for f in files() if f in named or (ast.get_docstring(tree(f)) or "").startswith(said)]


def module(file: Path) -> str:
    """The name by which `file` is imported: app.mime.message."""
    parts = file.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- what may know what -------------------------------------------------------------------


def pure_rooms_touch_nothing() -> Iterator[str]:
    """A pure module imports no framework, no database, no os, and only pure modules of ours."""
    ours = {module(file) for file in pure()}
    for file in pure():
        for name, node in imports(file):
            if is_part_of(name, IMPURE) or (
                is_part_of(name, {"app"}) and not is_part_of(name, ours)
            ):
                yield f"{place(file, node)} imports {name}"


def pure_rooms_are_told_the_time() -> Iterator[str]:
    """A pure module calls no clock: `now` is an argument."""
    asked = r"(^|\.)(now|utcnow|today|monotonic|perf_counter|localtime)$"
    for file in pure():
        yield from (f"{place(file, n)} calls {c}" for c, n in calls(file) if re.search(asked, c))


def only_the_clock_looks_at_the_time() -> Iterator[str]:
    """The time of day is asked for in app/clock.py alone."""
    asked = r"\b(date(time)?\.(now|today)|utcnow|utcfromtimestamp|time\.time)$"
    for file in files():
        if file != APP / "clock.py":
            yield from (
                f"{place(file, n)} calls {c}" for c, n in calls(file) if re.search(asked, c)
            )


def doors_know_no_database() -> Iterator[str]:
    """A door imports neither SQLAlchemy nor the mailer."""
    for name in DOORS:
        for file in room(name):
            for imported, node in imports(file):
                if is_part_of(imported, {"sqlalchemy", "app.util.mailer", "smtplib"}):
                    yield f"{place(file, node)} imports {imported}"


def a_room_is_entered_by_its_front() -> Iterator[str]:
    """Other rooms import a package, or those of its modules that pyproject.toml calls public."""
    public = {f"{room}.{one}" for room, some in tools()["house"]["public"].items() for one in some}
    used = set()
    for file in files():
        own = module(file).split(".")[1:2]
        for name, node in imports(file):
            top, entered, part = (*name.split("."), "", "")[:3]
            if top != "app" or [entered] == own or not part or not room(f"{entered}/{part}"):
                continue
            used.add(f"{entered}.{part}")
            if f"{entered}.{part}" not in public:
                yield f"{place(file, node)} {entered}.{part} is that room's own"
    yield from (f"pyproject.toml:1 no other room needs {one}" for one in sorted(public - used))


def nobody_on_the_way_of_a_mail_asks_an_ai() -> Iterator[str]:
    """A letter may look at what is stored; the question is asked on the ai queue alone."""
    for name in ("outbox", "letters", "reminders", "digest", "compose", "cli"):
        for file in room(name):
            for imported, node in imports(file):
                if is_part_of(imported, {"app.ai", "openai"}) and imported != "app.ai.recap_lookup":
                    yield f"{place(file, node)} imports {imported}"


def only_the_settings_read_the_environment() -> Iterator[str]:
    """os.environ is read in app/config, and where READS_THE_ENVIRONMENT gives a reason."""
    allowed = {file for name in READS_THE_ENVIRONMENT for file in room(name)}
    for file in set(files()) - allowed:
        for node in nodes(file):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                "os.environ",
                "os.getenv",
                "os.environb",
            }:
                yield f"{place(file, node)} reads the environment"


def only_the_audit_writes_the_audit() -> Iterator[str]:
    """An entry is made by audit.note in app/audit.py, and nowhere else."""
    for file in set(files()) - {APP / "audit.py"}:
        for called, node in calls(file):
            table = (
                ast.unparse(node.args[0]) if called in {"insert", "update", "delete"} else called
            )
            if table == "Audit":
                yield f"{place(file, node)} writes the audit by {called}"


def no_test_replaces_our_own_code() -> Iterator[str]:
    """Tests run on real parts: no mock, no freezegun."""
    for file in (PROJECT / "tests").glob("**/*.py"):
        for name, node in imports(file):
            if is_part_of(name, {"unittest.mock", "mock", "freezegun"}):
                yield f"{place(file, node)} imports {name}"


# --- sizes and words ----------------------------------------------------------------------


def files_fit_a_head() -> Iterator[str]:
    """A file has at most 400 lines."""
    for file in files():
        lines = file.read_text(encoding="utf-8").count("\n")
        if lines > MOST_LINES:
            yield f"{place(file)} has {lines} lines"


@cache
def functions() -> list[tuple[int, str]]:
    """(lines, place) of each function of the program, what is nested in it counted singly."""
    found = []
    for file in files():
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                nested = sum(_length(inner) for inner in _nested(node))
                found.append((_length(node) - nested, f"{place(file, node)} {node.name}"))
    return sorted(found, reverse=True)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _nested(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions directly inside this one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _nested(child)


def functions_are_short() -> Iterator[str]:
    """No function has more than 60 lines, and nine of ten at most 20."""
    found = functions()
    yield from (f"{where} has {lines} lines" for lines, where in found if lines > LONGEST)
    if (ninth := nine_of_ten(found)) > LONG:
        yield f"app/:1 nine of ten functions have up to {ninth} lines, more than {LONG}"


def nine_of_ten(found: list[tuple[int, str]]) -> int:
    """The length that nine of ten functions do not exceed (nearest rank)."""
    return sorted(lines for lines, _ in found)[-(-9 * len(found) // 10) - 1]


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """The public functions and classes of a module, and what is public in those classes."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def what_is_public_says_what_it_is() -> Iterator[str]:
    """Every public class and function has a docstring."""
    for file in files():
        for node in public(tree(file)):
            overload = any("overload" in ast.unparse(mark) for mark in node.decorator_list)
            if not overload and not ast.get_docstring(node):
                yield f"{place(file, node)} {node.name} has no docstring"


def a_class_name_is_one_thing() -> Iterator[str]:
    """No two public classes have one name."""
    found = [
        (node.name, place(file, node))
        for file in files()
        for node in tree(file).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    number = Counter(name for name, _ in found)
    yield from (f"{where} {name} exists twice" for name, where in found if number[name] > 1)


def errors_are_read_by_name() -> Iterator[str]:
    """What an error says has a name (app/refused.py): no `error.args[0]`."""
    for file in files():
        for node in nodes(file):
            if isinstance(node, ast.Subscript) and ast.unparse(node).endswith(".args[0]"):
                yield f"{place(file, node)} {ast.unparse(node)}"


EXEMPTION = re.compile(r"# (noqa|type: ignore)\b")
REASONED = re.compile(r"# (noqa: [A-Z0-9, ]+?|type: ignore\[[\w, -]+\])  ?[#-] \w")


def every_exemption_has_its_reason() -> Iterator[str]:
    """Beside a noqa, or in the line above it."""
    for folder in ("app", "rehearsal", "tests", "tools", "migrations"):
        for file in (PROJECT / folder).glob("**/*.py"):
            lines = ["", *file.read_text(encoding="utf-8").splitlines()]
            for number, (above, line) in enumerate(pairwise(lines)):
                bare = EXEMPTION.search(line) and not REASONED.search(line)
                if bare and not above.strip().startswith("#") and file != Path(__file__).resolve():
                    yield f"{file.relative_to(PROJECT)}:{number + 1} has no reason"


# --- files beside the code ----------------------------------------------------------------


def locks_name_no_address() -> Iterator[str]:
    """requirements/*.txt: versions and hashes only, the tools at the program's versions."""
    versions: dict[str, set[str]] = {}
    for name in ("run", "ai", "oauth", "dev"):
        file = PROJECT / "requirements" / f"{name}.txt"
        lock = file.read_text()
        if "://" in lock or re.search(r"^\s*-(?!-hash=)", lock, re.MULTILINE):
            yield f"{place(file)} names an address or an index"
        lines = [line for line in lock.splitlines() if line.strip()]
        yield from (f"{place(file)} {x}" for x in lines if "==" not in x and "--hash=" not in x)
        versions[name] = set(re.findall(r"^\S+==\S+", lock, re.MULTILINE))
    for less, more in (("run", "ai"), ("run", "oauth"), ("ai", "dev"), ("oauth", "dev")):
        yield from (f"{less}.txt:1 {x} is not in {more}" for x in versions[less] - versions[more])


def dependencies_have_their_reason() -> Iterator[str]:
    """docs/dependencies.md has a line for each package asked for, and lists nothing else."""
    page = (PROJECT / "docs/dependencies.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| ([a-z0-9-]+) \|", page, re.MULTILINE)) - {"package", "---"}
    asked = set()
    for name in ("run.in", "ai.in", "oauth.in", "dev.in"):
        text = (PROJECT / "requirements" / name).read_text()
        asked |= set(re.findall(r"^([a-z][a-z0-9-]*)", text, re.MULTILINE))
    yield from (f"docs/dependencies.md:1 says nothing of {name}" for name in asked - named)
    yield from (f"docs/dependencies.md:1 {name} is not asked for" for name in named - asked)


def no_file_knows_the_machine_it_was_written_on() -> Iterator[str]:
    """No absolute path of somebody's machine."""
    somewhere = re.compile(r"(?<![\w.*])/(work|root|Users)/\w|/tmp/(design|tools)\b")
    for file in texts():
        found = somewhere.search(file.read_text(encoding="utf-8", errors="replace"))
        if found and file != Path(__file__).resolve():
            yield f"{place(file)} {found[0]}"


def the_readme_begins_with_the_two_commands() -> Iterator[str]:
    """`make run` and `make test`."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    yield from (f"README.md:1 has no {one}" for one in ("make run", "make test") if one not in text)


def the_makefile_explains_every_target() -> Iterator[str]:
    """In both languages."""
    for line in (PROJECT / "Makefile").read_text(encoding="utf-8").splitlines():
        if re.match(r"[a-z0-9-]+:", line) and ("## " not in line or " / " not in line):
            yield f"Makefile:1 {line}"


# --- the pages of docs/ --------------------------------------------------------------------

ARCHITECTURE = "docs/architecture.md"
GLOSSARY = "docs/glossary.md"
NAMED_PATH = re.compile(r"(?<![\w/.:@~*%-])([a-z_.][\w.-]*/[\w.*/-]*\w)")


def every_path_that_a_page_names_exists() -> Iterator[str]:
    """README, CHANGELOG and docs/ name no file that is not there; a short path begins in app/."""
    for page in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")):
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for path in NAMED_PATH.findall(line):
                ours = path.split("/")[0] in FOLDERS or path.endswith((".py", ".css"))
                if ours and not any((*PROJECT.glob(path), *APP.glob(path))):
                    yield f"{page.relative_to(PROJECT)}:{number} {path} does not exist"


@cache
def tools() -> dict[str, Any]:
    """What pyproject.toml says to the tools."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(settings["tool"])


def layers() -> list[str]:
    """The floors of import-linter's contract, from above: "web | cli | tasks"."""
    contracts = tools()["importlinter"]["contracts"]
    return [layer for one in contracts if one["type"] == "layers" for layer in one["layers"]]


def the_picture_shows_the_floors() -> Iterator[str]:
    """The first block of docs/architecture.md is the contract of import-linter, floor by floor."""
    block = (PROJECT / ARCHITECTURE).read_text(encoding="utf-8").split("```\n")[1].splitlines()
    shown = [re.split(r" {2,}", line.strip())[-1] for line in block]
    if shown != layers():
        wrong = ", ".join(set(layers()).symmetric_difference(shown)) or "the order"
        yield f"{ARCHITECTURE}:1 another picture than pyproject.toml: {wrong}"


def every_room_has_its_line() -> Iterator[str]:
    """The table of docs/architecture.md has one line for each room, in the order of the floors."""
    rooms = [room for layer in layers() for room in layer.split(" | ")]
    text = (PROJECT / ARCHITECTURE).read_text(encoding="utf-8")
    lines = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    if lines != rooms:
        wrong = ", ".join(set(rooms).symmetric_difference(lines)) or "the order"
        yield f"{ARCHITECTURE}:1 the table of rooms: {wrong}"


def a_word_has_one_meaning() -> Iterator[str]:
    """The glossary has each word once, in both languages, with an owner that exists."""
    text = (PROJECT / GLOSSARY).read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    words = [row for row in rows if row[0] not in {"word"}]
    for at in (0, 1):
        number = Counter(row[at] for row in words)
        yield from (f"{GLOSSARY}:1 {word} stands twice" for word in number if number[word] > 1)
    for row in words:
        owner = row[-1].strip("`")
        if len(row) != 5 or not all(row):
            yield f"{GLOSSARY}:1 {row[0]}: a cell is missing"
        elif not ((PROJECT / owner).exists() or (APP / owner).exists()):
            yield f"{GLOSSARY}:1 {owner} does not exist"


RULES: tuple[Callable[[], Iterator[str]], ...] = (
    pure_rooms_touch_nothing,
    pure_rooms_are_told_the_time,
    only_the_clock_looks_at_the_time,
    doors_know_no_database,
    a_room_is_entered_by_its_front,
    nobody_on_the_way_of_a_mail_asks_an_ai,
    only_the_settings_read_the_environment,
    only_the_audit_writes_the_audit,
    no_test_replaces_our_own_code,
    files_fit_a_head,
    functions_are_short,
    what_is_public_says_what_it_is,
    a_class_name_is_one_thing,
    errors_are_read_by_name,
    every_exemption_has_its_reason,
    locks_name_no_address,
    dependencies_have_their_reason,
    no_file_knows_the_machine_it_was_written_on,
    the_readme_begins_with_the_two_commands,
    the_makefile_explains_every_target,
    every_path_that_a_page_names_exists,
    the_picture_shows_the_floors,
    every_room_has_its_line,
    a_word_has_one_meaning,
)


def sizes() -> None:
    """Lines a room, and the longest functions, for the eye."""
    lines: Counter[str] = Counter()
    for file in files():
        name = file.relative_to(APP).parts[0]
        lines[name] += file.read_text(encoding="utf-8").count("\n")
    print(f"{lines.total()} lines: " + ", ".join(f"{n} {k}" for n, k in lines.most_common()))
    found = functions()
    lengths = [length for length, _ in found]
    print(
        f"{len(found)} functions, median {statistics.median(lengths):.0f} lines, nine of ten up to "
        f"{nine_of_ten(found)}. The longest:"
    )
    for length, where in found[:5]:
        print(f"  {length:4} {where}")


def main() -> int:
    """Prints what breaks a rule; 1 if anything does."""
    broken = [(rule, fault) for rule in RULES for fault in rule()]
    for rule, fault in broken:
        print(f"{fault}\n    {rule.__name__}: {(rule.__doc__ or '').splitlines()[0]}")
    sizes()
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
