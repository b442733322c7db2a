"""One line for each record, in both formats; nobody's address, token or words are in it."""

import contextlib
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.db import Database
from app.models import OutboxMail, State
from app.outbox.log_records import attempt, decided
from app.util import logs
from tests.conftest import TODAY
from tests.stack import PROJECT

pytestmark = pytest.mark.pages

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \S+ ."
)
FACT = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def read_text(line: str) -> dict[str, Any]:
    """A line of the text format."""
    assert LINE.match(line), line
    time_, level, logger, rest = line.split(" ", 3)
    facts = {name: json.loads(v) if v[0] == '"' else v for name, v in FACT.findall(f" {rest}")}
    return {"time": time_, "level": level, "logger": logger, "event": rest.split(" ")[0], **facts}


def read_json(line: str) -> dict[str, Any]:
    """A line of the JSON format."""
    said: dict[str, Any] = json.loads(line)
    assert [*said][:4] == ["time", "level", "logger", "event"], line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["time"])
    return said


READ: dict[str, Callable[[str], dict[str, Any]]] = {"text": read_text, "json": read_json}


# --- one line -----------------------------------------------------------------------------------


def told(form: str, *args: object, error: BaseException | None = None, **facts: object) -> str:
    """What this format makes of a record."""
    level, name = logging.WARNING, "app.somewhere"
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord(name, level, "", 0, args[0], args[1:], trace)
    if facts:
        record.facts = facts
    return logs.formatter(form).format(record)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "words",
    [
        "mail to sato.hanako@example.jp failed",
        "550 5.1.1 <sato.hanako@example.jp>: no such user",
        "Connected to redis://:sato.hanako@127.0.0.1:6379/0",
        "https://x.jp/r/sato.hanako and /u/sato.hanako and /login/sato.hanako",
        '"sato.hanako"@example.jp',
    ],
)
def test_no_sentence_shows_an_address_a_token_or_a_password(form: str, words: str) -> None:
    assert "sato" not in told(form, words)
    assert "sato" not in told(form, "%s", words)
    assert "sato" not in told(form, "mail", reason=words)
    READ[form](told(form, "it said: %s", words))


@pytest.mark.parametrize("filling", ["x" * 60_000, "x." * 30_000, "@" * 60_000, '"' * 60_000])
def test_a_very_long_line_is_masked_in_a_moment(filling: str) -> None:
    began = time.process_time()
    told("text", "%s", filling)
    told("json", "%s a@b.jp /r/x", filling)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_address_over_the_edge_of_a_long_line_is_masked_before_it_is_cut(form: str) -> None:
    for before in range(logs.MOST - 25, logs.MOST):
        line = told(form, f"{'x' * (before - 1)} sato.hanako@example.jp {'y' * 100}")
        assert "sato" not in line
        assert len(line) < logs.MOST + 200


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_long_exception_is_cut_and_stays_on_its_line(form: str) -> None:
    error = OSError(28, f"x\n{'y' * 100_000}")
    line = told(form, "mail", id=3, error=error)
    assert len(line.splitlines()) == 1
    assert len(READ[form](line)["exception"]) <= logs.MOST + 10  # a line's end is told in 2 signs


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("words", ["%d mails", "%s and %s", "%(name)s", "100 %"])
def test_a_record_whose_arguments_do_not_fit_is_one_line_without_them(
    form: str, words: str
) -> None:
    line = told(form, words, "sato.hanako and 佐藤")
    assert len(line.splitlines()) == 1
    assert "sato" not in line
    assert "佐藤" not in line
    READ[form](line)


def test_exceptions_that_came_from_each_other_have_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    exception = read_json(told("json", "mail", error=first))["exception"]
    assert exception.count("; from ") == logs.CAUSES - 1


def test_a_worker_on_a_host_without_a_domain_keeps_its_name() -> None:
    assert told("text", "mail@host ready.").endswith("mail@host ready.")


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_can_write_a_second_line(form: str) -> None:
    for words in ("a\nb", "a\r\n\x1b[31mb", "a\u2028b", "\x85b"):
        for line in (told(form, "%s", words), told(form, "mail", reason=words)):
            assert len(line.splitlines()) == 1
            READ[form](line)


def broken_letter() -> None:
    """An error that quotes a person, made of one that does."""
    try:
        dict[str, str]()["佐藤 花子"]
    except KeyError as error:
        raise ValueError("cannot greet 佐藤 花子") from error


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_tells_what_it_is_and_where_but_not_what_it_quotes(form: str) -> None:
    with pytest.raises(ValueError, match="cannot greet") as caught:
        broken_letter()
    error = caught.value
    for line in (
        told(form, "mail", id=3, error=error),
        told(form, "broke: %s", error),
        told(form, "broke: %r", error),
        told(form, error),
        told(form, "Task %(name)s raised: %(exc)s", {"name": "x", "exc": repr(error)}),
    ):
        assert "佐藤" not in line
        assert "ValueError" in line
    exception = READ[form](told(form, "mail", id=3, error=error))["exception"]
    assert re.fullmatch(
        r"ValueError tests/test_logs.py:\d+ broken_letter < tests/test_logs.py:\d+ test_\w+; "
        r"from KeyError tests/test_logs.py:\d+ broken_letter",
        exception,
    )


def test_what_is_wrong_with_a_file_or_a_server_is_told() -> None:
    assert "No space left" in told("text", "%s", OSError(28, "No space left on device"))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_full_disk_under_the_log_stops_nothing_and_is_known(form: str, tmp_path: Path) -> None:
    program = (
        "import logging, sys, pathlib; from app.util import log_stream, logs; log_stream.install();"
        f"logs.install({form!r}); logging.getLogger('app').info('one'); print('two', flush=True);"
        "pathlib.Path(sys.argv[1]).write_text(str(log_stream.written()))"
    )
    for file, written in (("/dev/full", "False"), (str(tmp_path / "log"), "True")):
        with Path(file).open("ab") as log:
            command = [sys.executable, "-c", program, str(tmp_path / "known")]
            subprocess.run(command, stdout=log, stderr=log, check=True, cwd=PROJECT)
        assert (tmp_path / "known").read_text() == written


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_nobody_caught_is_one_line(form: str) -> None:
    program = (
        "import threading, warnings; from app.util import logs; logs.install('FORM')\n"
        "warnings.warn('old')\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\n"
        "raise KeyError('佐藤')"
    ).replace("FORM", form)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    lines = [READ[form](line) for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert [one["level"] for one in lines] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert lines[1]["exception"].startswith("ZeroDivisionError <string>:3 <lambda>")
    assert lines[2]["exception"].startswith("KeyError <string>:6 <module>")


def test_what_is_undone_is_not_told(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    row = {"user_id": 1, "slot": "x", "local_date": TODAY, "verdict": "send", "reason": None}
    with caplog.at_level(logging.INFO), contextlib.suppress(KeyError), db.write() as session:
        decided(session, {7: row}, {7: 8})
        raise KeyError
    assert caplog.records == []
    with caplog.at_level(logging.INFO), db.write() as session:
        decided(session, {7: row}, {7: 8})
        assert caplog.records == []
    assert [one.getMessage() for one in caplog.records] == ["decision"]


# A decision and a mail's end cost a line each; a whole mail costs a sender 500 us.
MOST_US = 100.0  # of a shared machine; 12 us on one that has nothing else to do


def test_a_line_costs_little(tmp_path: Path) -> None:
    mail = OutboxMail(id=17, kind="reminder", claims=1, retries=0)
    with (tmp_path / "log").open("w") as out:
        undo = logs.install("json", handler=logging.StreamHandler(out))
        try:
            began = time.process_time()
            for _ in range(2_000):
                attempt(mail, State.ACCEPTED, code=250, began=time.monotonic())
            took = (time.process_time() - began) / 2_000 * 1e6
        finally:
            undo()
    assert len((tmp_path / "log").read_text().splitlines()) == 2_000
    assert took < MOST_US
