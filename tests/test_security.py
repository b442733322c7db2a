"""docs/evidence.md is true about security: its tests exist, no file holds a secret, every page has its headers."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app.config import Config
from app.queue.application import make_celery
from tests.databases import on_sqlite
from tools.house import PROJECT, is_text, texts, tree

PAGE = PROJECT / "docs/evidence.md"
SHOWN_BY = re.compile(r"`((?:tests/\w+|tools/house)\.py)::(\w+)`")


def section() -> str:
    """What the page says about security."""
    return PAGE.read_text(encoding="utf-8").partition("\n## Security\n")[2]


def test_every_test_that_the_page_names_exists() -> None:
    named = SHOWN_BY.findall(section())
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not any(
            isinstance(node, ast.FunctionDef) and node.name == name
            for node in ast.walk(tree(PROJECT / file))
        )
    ]
    assert len(named) > 40
    assert missing == []


def test_every_line_of_the_tables_names_a_test() -> None:
    rows = re.findall(r"^\| (?!what ).*", section(), re.M)
    assert len(rows) > 20
    assert [row for row in rows if not SHOWN_BY.search(row)] == []


# --- secrets ------------------------------------------------------------------------------------

SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"
)
# A name that stands for a secret, and a value in quotes or behind the = of an .env.
GIVEN = re.compile(
    r"""(?i)(?:password|passwd|secret_key|api_key|token)["']?\s*[:=]\s*["']([^"'\n]{8,})["']"""
    r"""|(?m:^\#?(?:\w+_)?(?:PASSWORD|SECRET_KEY|API_KEY|TOKEN)\w*=([^\s{$]{8,}))"""
    r"""|://[^\s:@/"'{}]*:([^\s@/"'{}]{8,})@"""
)
# What our tests and pages have in the place of one: it says so, or cannot be one.
MADE_UP = re.compile(
    r"made[- ]up|hush|changeme|^\*+$|YOUR-PASSWORD|^PASSWORD$|^password$|^p%40ss|^a#b #c"
    r"|^sato\.hanako$|^app@example\.com$|^(?:of|somebody) "
)


def tracked() -> Iterator[Path]:
    """The files of the project: those that git knows, or all texts where there is no git."""
    git = shutil.which("git") if (PROJECT / ".git").exists() else None
    if git is None:
        yield from texts()
        return
    listed = subprocess.run([git, "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True)
    files = (PROJECT / name.decode() for name in listed.stdout.split(b"\0") if name)
    yield from (file for file in files if file.is_file() and is_text(file))


def secrets_in(text: str) -> list[str]:
    """What looks like a secret and is not made up."""
    given = [next(filter(None, one.groups())) for one in GIVEN.finditer(text)]
    return [one for one in [*SECRET.findall(text), *given] if not MADE_UP.search(one)]


def test_no_file_of_the_project_holds_a_secret() -> None:
    found = [
        f"{file.relative_to(PROJECT)}: {secret[:4]}…"
        for file in tracked()
        for secret in secrets_in(file.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 18,
        "sk-" + "a1b2" * 8,
        "SMTP_PASS" + "WORD=Tr0ub4dor-and-3",
        "SECRET_" + "KEY=" + "0f" * 24,
        "pass" + 'word = "correct horse battery"',
        '"api_' + 'key": "0123456789ab"',
        "redis://:Tr0ub4" + "dor-3@10.0.0.1",
    ],
)
def test_a_secret_in_a_file_would_be_found(text: str) -> None:
    assert secrets_in(f"x\n{text}\n")


@pytest.mark.parametrize("name", [".env", "data/secret_key"])
def test_where_the_secrets_stand_is_ignored_by_git(name: str) -> None:
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert f"/{name.partition('/')[0]}" in {line.rstrip("/") for line in ignored}


# --- the pages and the workers ------------------------------------------------------------------


@on_sqlite
def test_every_page_carries_the_strict_headers(app: Flask) -> None:
    """Each address there is, asked by a stranger, and some that are none."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    paths = {re.sub(r"<[^>]+>", "1", rule.rule) for rule in rules} | {"/nowhere", "/r/", "/%00"}
    assert len(paths) > 30
    for path in sorted(paths):
        for method in ("get", "post"):
            headers = getattr(app.test_client(), method)(path).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors" in policy, path
            assert "script-src" not in policy, path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin", path
            assert "no-store" in headers["Cache-Control"], path
            secret = path.startswith(("/r/1", "/u/1", "/login/1"))  # whatever the method
            assert headers["Referrer-Policy"] == ("no-referrer" if secret else "same-origin"), path


@on_sqlite
def test_no_worker_takes_a_pickle(config: Config) -> None:
    conf = make_celery(config).conf
    assert list(conf.accept_content) == ["json"]
    assert {conf.task_serializer, conf.result_serializer} == {"json"}
