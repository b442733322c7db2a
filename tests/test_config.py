"""Settings: read alike wherever they stand, refused at once and by name, secrets never shown."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
import trustme
from sqlalchemy.engine import make_url

from app import schema
from app.config import Config, ConfigError, load
from app.config.sources import HOME, home
from app.db import Database
from app.locale import Both
from tests.specification import ENV as SPECIFICATION

PROJECT = Path(__file__).parent.parent
KEY = "0123456789abcdefghijklmnopqrstuv"
LOOPBACK = {"SMTP_HOST": "127.0.0.1", "MAIL_FROM": "app@example.jp"}

Fill = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Fill:
    """`load` with these variables and nothing else."""

    def reader(**environ: str) -> Config:
        return load(environ, tmp_path)

    return reader


@pytest.fixture
def faults(tmp_path: Path) -> Callable[..., dict[str, Both]]:
    """The faults of these variables, by name."""

    def reader(**environ: str) -> dict[str, Both]:
        with pytest.raises(ConfigError) as refused:
            load(environ, tmp_path)
        return dict(refused.value.faults)

    return reader


Faults = Callable[..., dict[str, Both]]


def as_systemd_passes_it(env_file: str) -> dict[str, str]:
    """EnvironmentFile= of systemd: comments only at the start of a line, quotes stripped."""
    lines = [line for line in env_file.splitlines() if "=" in line and not line.startswith("#")]
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip().strip('"') for name, _, value in pairs}


def test_nothing_at_all_is_enough(read: Fill, tmp_path: Path) -> None:
    config = read()
    assert config.smtp_host is None
    assert config.celery_broker_url == "redis://127.0.0.1:6379/0"
    assert config.celery_result_backend == "redis://127.0.0.1:6379/1"
    assert config.database_url == f"sqlite:///{tmp_path}/data/task-progress.sqlite3"
    assert (config.app_timezone, config.app_locale) == ("Asia/Tokyo", "ja")
    assert (config.smtp_port, config.smtp_timeout, config.smtp_connections) == (587, 30.0, 1)


def expect_the_specification(config: Config) -> None:
    assert config.smtp_port == 587
    assert config.smtp_password is not None
    assert config.smtp_password.get_secret_value() == "********"
    assert config.mail_from == "Task Progress <app@example.com>"
    assert config.mail_reply_to == "Support <support@example.com>"
    assert config.mail_return_path == "bounce@example.com"
    assert config.smtp_timeout == 30
    assert config.warnings == ()


def test_the_env_of_the_specification_loads_from_the_file(read: Fill, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SPECIFICATION, encoding="utf-8")
    expect_the_specification(read())


def test_the_env_of_the_specification_loads_as_systemd_passes_it(read: Fill) -> None:
    expect_the_specification(read(**as_systemd_passes_it(SPECIFICATION)))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_do_not_matter(
    read: Fill, tmp_path: Path, line_end: str
) -> None:
    text = "\ufeffAPP_LOCALE=en\n" + SPECIFICATION
    (tmp_path / ".env").write_bytes(text.replace("\n", line_end).encode())
    config = read()
    assert config.app_locale == "en"
    expect_the_specification(config)


def test_the_environment_wins_over_env_over_run_env(read: Fill, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.env").write_text("APP_LOCALE=en\nLOG_FORMAT=json\nAI_MODEL=run\n")
    (tmp_path / ".env").write_text("APP_LOCALE=ja\nAI_MODEL=env\n")
    config = read(AI_MODEL="environment")
    assert (config.log_format, config.app_locale, config.ai_model) == ("json", "ja", "environment")


def test_an_empty_variable_switches_off_what_the_file_says(read: Fill, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SPECIFICATION)
    assert read(SMTP_HOST="").smtp_host is None


def test_a_run_env_left_behind_does_not_colour_a_real_server(read: Fill, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.env").write_text(
        "SMTP_HOST=127.0.0.1\nSMTP_PORT=2525\nSMTP_SECURITY=none\nTASK_PROGRESS_MAILBOX=1\n"
        "MAIL_FROM=local@example.jp\nCELERY_BROKER_URL=redis://127.0.0.1:7777/0\n"
        "CELERY_RESULT_BACKEND=redis://127.0.0.1:7777/1\n"
    )
    assert read().local_mailbox
    (tmp_path / ".env").write_text(
        "SMTP_HOST=smtp.example.com\nMAIL_FROM=app@example.com\n"
        "CELERY_BROKER_URL=redis://10.0.0.5:6379/0\n"
    )
    config = read()
    assert (config.smtp_port, config.smtp_security) == (587, "auto")
    assert config.mail_from == "app@example.com"
    assert not config.local_mailbox
    assert not config.rehearsal_allowed
    assert config.celery_result_backend == "redis://10.0.0.5:6379/1"


def test_a_half_filled_env_does_not_colour_the_local_mailbox(read: Fill, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.env").write_text(
        "SMTP_HOST=127.0.0.1\nSMTP_PORT=2525\nSMTP_SECURITY=none\nMAIL_FROM=local@example.jp\n"
    )
    (tmp_path / ".env").write_text("SMTP_PORT=465\nSMTP_USERNAME=app\nSMTP_PASSWORD=hush\n")
    config = read()
    assert (config.smtp_port, config.smtp_username) == (2525, None)


def test_a_password_keeps_its_signs_wherever_it_stands(read: Fill, tmp_path: Path) -> None:
    password = "a#b #c$d${HOME}e=f'g"
    (tmp_path / ".env").write_text(f"SMTP_PASSWORD={password}\n")
    from_file, from_systemd = read(), read(SMTP_PASSWORD=password)
    for config in (from_file, from_systemd):
        assert config.smtp_password is not None
        assert config.smtp_password.get_secret_value() == password
        assert "SMTP_PASSWORD" in str(config.warnings)  # ' #' may have been meant as a comment
        assert password not in str(config.warnings)


def test_quotes_around_a_password_go(read: Fill, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMTP_PASSWORD='a #b'  # a comment\n")
    config = read()
    assert config.smtp_password is not None
    assert config.smtp_password.get_secret_value() == "a #b"


def test_nothing_is_expanded(read: Fill, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AI_MODEL=${HOME}/model\n")
    assert read(HOME="/somewhere").ai_model == "${HOME}/model"


def test_a_line_that_sets_nothing_is_a_fault_by_its_number(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_LOCALE=ja\n\nhush hush hush\n")
    assert "Line 3 " in faults()[".env"].en
    assert "hush" not in str(faults())


def test_an_env_file_in_another_encoding_is_named(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("MAIL_FROM=進捗 <app@example.jp>".encode("cp932"))
    assert "UTF-8" in faults()[".env"].en


def test_every_fault_is_listed_at_once(faults: Faults) -> None:
    found = faults(
        SMTP_HOST="smtp://mail.example.jp",
        SMTP_PORT="abc",
        SMTP_TIMEOUT="inf",
        SMTP_USERNAME="app",
        SECRET_KEY="changeme",
        APP_TIMEZONE="JST",
        MAIL_FROM="a@example.jp, b@example.jp",
        CELERY_BROKER_URL="http://127.0.0.1:6379/0",
        DATABASE_URL="mysql://u:hush@h/d",
    )
    assert set(found) == {
        "SMTP_HOST",
        "SMTP_PORT",
        "SMTP_TIMEOUT",
        "SMTP_PASSWORD",
        "SECRET_KEY",
        "APP_TIMEZONE",
        "MAIL_FROM",
        "CELERY_BROKER_URL",
        "DATABASE_URL",
    }
    assert all(sentence.ja and sentence.en for sentence in found.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_PORT", "abc"),
        ("SMTP_PORT", "0"),
        ("SMTP_PORT", "70000"),
        ("SMTP_PORT", "５８７"),
        ("SMTP_TIMEOUT", "-1"),
        ("SMTP_TIMEOUT", "0"),
        ("SMTP_TIMEOUT", "inf"),
        ("SMTP_TIMEOUT", "nan"),
        ("SMTP_CONNECTIONS", "0"),
        ("SMTP_RATE_PER_MINUTE", "fast"),
        ("SMTP_SECURITY", "tls"),
        ("SMTP_HOST", "mail.example.jp:587"),
        ("SMTP_HOST", "mail example"),
        ("MAIL_RETURN_PATH", "Bounce <bounce@example.jp>"),
        ("MAIL_FROM", "a@example.jp, b@example.jp"),
        ("MAIL_FROM", "Smith, John <john@example.jp>"),
        ("MAIL_FROM", "ａｐｐ＠example.jp"),
        ("MAIL_REPLY_TO", "nobody"),
        ("MAIL_REPLY_TO", "0@"),
        ("MAIL_ONLY_TO", "hanako@example.jp,,"),
        ("MAIL_ONLY_TO", "hanako"),
        ("APP_TIMEZONE", "JST"),
        ("APP_TIMEZONE", ""),
        ("APP_TIMEZONE", "../../etc"),
        ("APP_TIMEZONE", "asia/tokyo"),
        ("APP_LOCALE", "fr"),
        ("LOG_FORMAT", "xml"),
        ("APP_BASE_URL", "progress.example.jp"),
        ("APP_BASE_URL", "https://user:hush@progress.example.jp"),
        ("APP_BASE_URL", "https://progress.example.jp?x=1"),
        ("APP_BASE_URL", f"https://{'a' * 64}.example.jp"),
        ("APP_BASE_URL", "https://progress..example.jp"),
        ("HEARTBEAT_URL", "ftp://example.jp"),
        ("SECRET_KEY", "changeme"),
        ("SECRET_KEY", "changeme" * 8),
        ("SECRET_KEY", "a" * 64),
        ("SECRET_KEY", "short but good"),
        ("CELERY_BROKER_URL", "nonsense"),
        ("CELERY_BROKER_URL", "http://127.0.0.1"),
        ("CELERY_BROKER_URL", "redis://:p@ss@127.0.0.1:6379/0"),
        ("CELERY_BROKER_URL", "redis://:p#ss@127.0.0.1:6379/0"),
        ("CELERY_BROKER_URL", "redis://:p/ss@127.0.0.1:6379/0"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1:99999/0"),
        ("CELERY_BROKER_URL", "redis:///0"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1:6379/zero"),
        ("CELERY_RESULT_BACKEND", "memcached://127.0.0.1"),
        ("DATABASE_URL", "postgresql+psycopg2://u@h/d"),
        ("DATABASE_URL", "postgresql://u:hush@1@h/d"),
        ("DATABASE_URL", "postgresql://u:hush@hush/1@h/d"),
        ("DATABASE_URL", "postgresql://u:hush/1@h/d"),
        ("DATABASE_URL", "postgresql://u:hush?1@h/d"),
        ("DATABASE_URL", "postgresql+psycopg://u:hush#1@h/d"),
        ("DATABASE_URL", "postgresql://u:hush,hush/d"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///no/such/folder/x.sqlite3"),
        ("DATABASE_URL", "nonsense"),
        ("TEST_CLOCK_OFFSET", "5"),
        ("TEST_TIME_SCALE", "0.05"),
        ("AI_MODEL", "two\nlines"),
    ],
)
def test_nonsense_is_refused_by_name(faults: Faults, name: str, value: str) -> None:
    assert set(faults(**{name: value})) == {name}


def test_a_refused_time_zone_comes_with_the_nearest_name(faults: Faults) -> None:
    assert "Asia/Tokyo" in faults(APP_TIMEZONE="asia/tokyo")["APP_TIMEZONE"].ja


def test_starttls_on_port_465_is_refused_beside_other_faults(faults: Faults) -> None:
    found = faults(SMTP_PORT="465", SMTP_SECURITY="starttls", SMTP_TIMEOUT="-1")
    assert set(found) == {"SMTP_SECURITY", "SMTP_TIMEOUT"}


def test_a_missing_database_folder_comes_with_the_command_that_makes_it(faults: Faults) -> None:
    found = faults(DATABASE_URL="sqlite:///no/such/x.sqlite3")
    assert "mkdir -p '" in found["DATABASE_URL"].en
    assert "no/such'" in found["DATABASE_URL"].en


def test_a_server_needs_a_sender(faults: Faults) -> None:
    assert set(faults(SMTP_HOST="smtp.example.com")) == {"MAIL_FROM"}


@pytest.mark.parametrize("text", ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\n!\n"])
def test_a_file_that_is_no_certificate_is_refused_by_name(
    faults: Faults, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "mail-ca.pem"
    file.write_text(text)
    found = faults(SMTP_CA_FILE=str(file))
    assert set(found) == {"SMTP_CA_FILE"}
    assert "mail-ca.pem" in found["SMTP_CA_FILE"].ja
    assert "BEGIN CERTIFICATE" in found["SMTP_CA_FILE"].en


def test_a_missing_certificate_file_is_refused_by_name(faults: Faults, tmp_path: Path) -> None:
    assert set(faults(SMTP_CA_FILE=str(tmp_path / "none.pem"))) == {"SMTP_CA_FILE"}
    assert set(faults(SMTP_CA_FILE=str(tmp_path))) == {"SMTP_CA_FILE"}


def test_a_certificate_file_is_looked_for_beside_env(read: Fill, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "mail-ca.pem"))
    assert read(SMTP_CA_FILE="mail-ca.pem").smtp_ca_file == tmp_path / "mail-ca.pem"
    assert read().smtp_ca_file is None


def test_pipelining_is_auto_or_off(read: Fill, faults: Faults) -> None:
    assert read().smtp_pipelining == "auto"
    assert read(SMTP_PIPELINING="off").smtp_pipelining == "off"
    assert set(faults(SMTP_PIPELINING="no")) == {"SMTP_PIPELINING"}


def test_a_user_name_needs_a_password(faults: Faults) -> None:
    assert set(faults(SMTP_USERNAME="app", **LOOPBACK)) == {"SMTP_PASSWORD"}


def test_debug_is_refused_where_others_reach_the_pages(faults: Faults, read: Fill) -> None:
    outside = {"APP_BASE_URL": "https://progress.example.jp"}
    assert set(faults(FLASK_DEBUG="1", **outside)) == {"FLASK_DEBUG"}
    assert set(faults(DEBUG="true", **outside)) == {"DEBUG"}
    assert read(DEBUG="1", APP_BASE_URL="http://[::1]:8000").debug
    assert not read(DEBUG="0", **outside).debug


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_test_settings_are_taken_on_loopback(read: Fill, host: str) -> None:
    config = read(
        SMTP_HOST=host, MAIL_FROM="a@example.jp", TEST_CLOCK_OFFSET="-3.5", TEST_TIME_SCALE="0.05"
    )
    assert config.rehearsal_allowed
    assert (config.test_clock_offset, config.test_time_scale) == (-3.5, 0.05)


def test_test_settings_are_refused_for_a_server_that_only_sounds_local(faults: Faults) -> None:
    found = faults(
        SMTP_HOST="localhost.example.jp",
        MAIL_FROM="a@example.jp",
        TEST_CLOCK_OFFSET="1",
        TASK_PROGRESS_MAILBOX="1",
    )
    assert set(found) == {"TEST_CLOCK_OFFSET"}


def test_a_sender_at_localhost_is_taken_only_where_no_mail_can_leave(
    read: Fill, faults: Faults
) -> None:
    assert read(SMTP_HOST="127.0.0.1", MAIL_FROM="app@localhost").mail_from == "app@localhost"
    assert set(faults(SMTP_HOST="smtp.example.jp", MAIL_FROM="app@localhost")) == {"MAIL_FROM"}


def test_a_pilot_list_takes_addresses_and_domains(read: Fill) -> None:
    config = read(MAIL_ONLY_TO="hanako@example.jp, @example.com ,sub.example.org  # the pilot")
    assert config.mail_only_to == ("hanako@example.jp", "example.com", "sub.example.org")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://u:p%40ss@h/d", "postgresql+psycopg://u:p%40ss@h/d"),
        ("postgres://u@h:5433/d", "postgresql+psycopg://u@h:5433/d"),
        (
            "postgresql+psycopg://u@h/d?sslmode=require",
            "postgresql+psycopg://u@h/d?sslmode=require",
        ),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=/run/postgresql"),
        ("postgresql://u:p,q@h,i/d", "postgresql+psycopg://u:p,q@/d?host=h,i&port=5432,5432"),
        (
            "postgresql://u@h:5433,[::1]/d?sslmode=require",
            "postgresql+psycopg://u@/d?host=h,::1&port=5433,5432&sslmode=require",
        ),
    ],
)
def test_postgresql_is_spoken_to_by_psycopg(read: Fill, given: str, taken: str) -> None:
    assert make_url(read(DATABASE_URL=given).database_url) == make_url(taken)


def test_an_sqlite_file_is_absolute_from_the_working_folder(read: Fill, tmp_path: Path) -> None:
    assert read(DATABASE_URL="sqlite:///x.db").database_url == f"sqlite:///{tmp_path}/x.db"
    assert read(DATABASE_URL=f"sqlite:///{tmp_path}/y.db").database_url.endswith("/y.db")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p%40ss%23@redis.example.jp:6380/15",
        "redis+socket:///run/redis.sock",
        "amqp://guest:guest@127.0.0.1//",
    ],
)
def test_a_well_formed_broker_is_taken(read: Fill, url: str) -> None:
    assert read(CELERY_BROKER_URL=url).celery_broker_url == url


def test_results_go_to_the_redis_of_the_broker(read: Fill) -> None:
    config = read(CELERY_BROKER_URL="rediss://:pw@h:6380/0")
    assert config.celery_broker_url == "rediss://:pw@h:6380/0?ssl_cert_reqs=required"
    assert config.celery_result_backend == "rediss://:pw@h:6380/1?ssl_cert_reqs=required"


# --- secrets ---

SHAPES = {
    "SMTP_PASSWORD": "hushhush\nhush",
    "SECRET_KEY": "hushhushhush",
    "SECRET_KEY_PREVIOUS": "hush",
    "AI_API_KEY": "hush\x00",
    "CELERY_BROKER_URL": "redis://user:hush@host:port/0",
    "CELERY_RESULT_BACKEND": "http://:hush@h/",
    "DATABASE_URL": "oracle://scott:hush@h/d",
    "APP_BASE_URL": "https://u:hush@h",
    "HEARTBEAT_URL": "https://u:hush@h?token=hush",
}


def test_no_fault_shows_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(SHAPES, tmp_path)
    assert {name for name, _ in refused.value.faults} == set(SHAPES)
    assert "hush" not in str(refused.value)
    assert "hush" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_no_repr_shows_a_secret(read: Fill) -> None:
    config = read(
        SMTP_PASSWORD="hush",
        SECRET_KEY="hush" + KEY,
        SECRET_KEY_PREVIOUS="hush" + KEY,
        AI_API_KEY="hush",
        CELERY_BROKER_URL="redis://:hush@h/0",
        DATABASE_URL="postgresql://u:hush@h/d",
        HEARTBEAT_URL="https://h/hush",
    )
    assert "hush" not in repr(config)
    assert "hush" not in str(config)


def test_a_secret_can_stand_in_a_file(read: Fill, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hu #sh\n")
    file.chmod(0o600)
    config = read(SMTP_PASSWORD_FILE="password")
    assert config.smtp_password is not None
    assert config.smtp_password.get_secret_value() == "hu #sh"


def test_a_secret_file_that_everybody_can_read_is_a_warning(read: Fill, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush")
    file.chmod(0o644)
    (warning,) = read(SMTP_PASSWORD_FILE=str(file)).warnings
    assert "chmod 600" in warning.ja
    assert "hush" not in str(warning)


@pytest.mark.parametrize("name", ["SMTP_PASSWORD", "SECRET_KEY", "AI_API_KEY"])
def test_a_missing_secret_file_is_one_fault(faults: Faults, name: str) -> None:
    found = faults(**{f"{name}_FILE": "/no/such/file"}, SMTP_USERNAME="u", SMTP_PASSWORD="") | {}
    assert f"{name}_FILE" in found
    assert name not in found


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which nobody may do everything, and a process that is nobody, not root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(me)
    shutil.rmtree(folder)


def test_a_secret_file_without_permission_is_a_fault(open_folder: Path) -> None:
    (open_folder / "password").write_text("hush")
    (open_folder / "password").chmod(0)
    with pytest.raises(ConfigError) as refused:
        load({"SMTP_PASSWORD_FILE": "password"}, open_folder)
    ((name, sentence),) = refused.value.faults
    assert name == "SMTP_PASSWORD_FILE"
    assert "Permission denied" in sentence.en


def test_a_data_dir_that_cannot_be_written_is_a_fault(open_folder: Path) -> None:
    (open_folder / "data").mkdir(mode=0o500)
    with pytest.raises(ConfigError) as refused:
        load({}, open_folder)
    assert [name for name, _ in refused.value.faults] == ["DATA_DIR"]
    load({"SECRET_KEY": KEY}, open_folder)  # nothing to write: it may start and only read


def test_a_secret_and_its_file_together_are_refused(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush")
    found = faults(SMTP_PASSWORD="hush", SMTP_PASSWORD_FILE="password")
    assert set(found) == {"SMTP_PASSWORD_FILE"}


@pytest.mark.parametrize(
    "password", ["hush@1", "hush@hush/1", "hush/hush@1", "hush/1", "hush?1", "hush#1"]
)
def test_no_part_of_a_password_is_taken_for_a_host_or_shown(faults: Faults, password: str) -> None:
    found = faults(DATABASE_URL=f"postgresql://app:{password}@db.example.jp/progress")
    assert "hush" not in str(found["DATABASE_URL"])
    assert "%40" in found["DATABASE_URL"].ja


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_folder_of_data_and_its_database_are_of_this_account_alone(
    tmp_path: Path, umask: int
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    before = os.umask(umask)
    try:
        with closing(Database(load({}, tmp_path).database_url)) as db:
            schema.upgrade(db)
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("data/*")}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 4, "the key, the database, and what SQLite keeps beside it"


def test_a_database_that_others_could_read_is_closed_to_them_when_it_is_opened(
    read: Fill, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere.sqlite3"
    file.touch(mode=0o666)
    with closing(Database(read(DATABASE_URL=f"sqlite:///{file}").database_url)) as db:
        schema.upgrade(db)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_all_share_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o1777)
    load({}, tmp_path)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o1777


def test_a_missing_secret_key_is_made_once_and_kept(read: Fill, tmp_path: Path) -> None:
    first, second = read(), read()
    assert first.secret_key == second.secret_key
    assert len(first.secret_key.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "data/secret_key").stat().st_mode) == 0o600


def test_programs_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    for round_ in range(5):
        folder = tmp_path / str(round_)
        folder.mkdir()
        gate = Barrier(8)

        def start(folder: Path = folder, gate: Barrier = gate) -> str:
            gate.wait()
            return load({}, folder).secret_key.get_secret_value()

        with ThreadPoolExecutor(8) as programs:
            keys = {run.result() for run in [programs.submit(start) for _ in range(8)]}
        assert len(keys) == 1
        assert [file.name for file in (folder / "data").iterdir()] == ["secret_key"]


def test_an_empty_key_file_is_refused_and_not_replaced(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret_key").write_text("")
    assert set(faults()) == {"SECRET_KEY"}
    assert (tmp_path / "data/secret_key").read_text() == ""


def test_nothing_is_written_while_there_are_faults(faults: Faults, tmp_path: Path) -> None:
    faults(SMTP_PORT="abc")
    faults(AI_API_KEY_FILE="no such file")
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_made_where_none_is_needed(read: Fill, tmp_path: Path) -> None:
    read(SECRET_KEY=KEY, DATABASE_URL="postgresql://u@h/d")
    assert list(tmp_path.iterdir()) == []


def test_a_data_dir_that_cannot_be_made_is_a_fault(faults: Faults, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert set(faults(DATA_DIR="file/data")) == {"DATA_DIR"}


# --- the process itself ---


def test_celery_finds_cleaned_values_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0   # the broker")
    monkeypatch.delenv("CELERY_RESULT_BACKEND", raising=False)
    load()
    assert os.environ["CELERY_BROKER_URL"] == "redis://127.0.0.1:6379/0"
    assert "CELERY_RESULT_BACKEND" not in os.environ


def test_the_project_folder_is_that_of_the_program_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HOME)
    monkeypatch.chdir(tmp_path)
    assert home() == PROJECT
    (tmp_path / "app").mkdir()  # another program's
    assert home() == PROJECT


def test_a_folder_that_links_to_the_program_is_its_project_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HOME)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").symlink_to(PROJECT / "app")
    assert home() == tmp_path


def test_the_environment_may_name_another_project_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("APP_LOCALE=en\n")
    monkeypatch.setenv(HOME, str(tmp_path))
    assert load().app_locale == "en"
    assert load().data_dir == tmp_path / "data"


def start_a_program(environ: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from app.config import load_or_exit; load_or_exit(); print('started')"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1", HOME: str(folder), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_program_with_faults_exits_with_2_and_the_whole_list(tmp_path: Path) -> None:
    done = start_a_program({"SMTP_PORT": "abc", "APP_TIMEZONE": "JST"}, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "SMTP_PORT" in done.stderr
    assert "Asia/Tokyo" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_program_without_faults_starts(tmp_path: Path) -> None:
    done = start_a_program({}, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_the_example_file_names_every_variable_and_loads_with_all_of_them(
    read: Fill, tmp_path: Path
) -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
    assert read(SMTP_PASSWORD="hush").smtp_host == "smtp.example.com"
    internal = {"TASK_PROGRESS_MAILBOX", "TEST_CLOCK_OFFSET", "TEST_TIME_SCALE"}
    internal |= {"DEBUG", "FLASK_DEBUG", "CRASH_AT"}
    names = {str(field.alias) for field in Config.model_fields.values()} - internal
    assert {name for name in names if f"#{name}=" not in example} == set()


def test_settings_cannot_be_changed_afterwards(read: Fill) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().smtp_port = 25
