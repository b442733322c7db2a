"""The one place that reads the environment; refuses nonsense at start and names the variable.

Each value comes from the first of: the environment, `.env` in the project's folder,
DATA_DIR/run.env (which `make run` writes). How a value is read does not depend on where it
stood, because systemd and python-dotenv differ and the same `.env` goes through both:

- A value that is no secret ends before ` #`; blanks around it go; empty means "not set".
- A secret (`sources.SECRETS`) is taken as it stands: `#`, `$` and inner blanks belong to it,
  only quotes around the whole go. NAME_FILE names a file that holds it instead.
- Nothing is expanded: `${X}` is four characters.

`load` collects every fault before it raises, and no message, repr or traceback shows a secret.
"""

import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from app.config import readers
from app.config.mail_account import MailAccount
from app.config.sources import Faults, Warnings, check_mode, gather, home, relative
from app.locale import Both, Passing, of_the_system, shell_locale
from app.refused import UnusableValue
from app.util import parse, urls
from app.util.http import HttpClient
from app.util.private import keep_private

_MADE: set[Path] = set()  # keys that this process made; it may read its settings several times
SECRET_KEY_FILE = "secret_key"  # noqa: S105  # the name of a file

_HUNDRED_YEARS = 100 * 366 * 86_400  # seconds; beyond it dates overflow


class ConfigError(Exception):
    """Settings that cannot be used: all of them, as (variable name, sentence) in `faults`."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return self.text("ja")

    @property
    def passing(self) -> bool:
        """Whether all of it may come right by waiting."""
        return all(isinstance(sentence, Passing) for _, sentence in self.faults)

    def text(self, locale: str) -> str:
        """The whole list, by name, in the language `locale`."""
        head = Both(
            f"設定に直すところが{len(self.faults)}件あります。直すまで何も始まりません。",
            f"Settings to mend: {len(self.faults)}. Nothing starts before that.",
        )
        lines = [head.to(locale)]
        for name, sentence in self.faults:
            lines += ["", f"  {name}", f"    {sentence.to(locale)}"]
        return "\n".join(lines)


Mailbox = Annotated[str, BeforeValidator(readers.read_mailbox)]
WebUrl = Annotated[str, BeforeValidator(urls.parse_web_url)]
Key = Annotated[SecretStr, BeforeValidator(readers.read_key)]


def _whole(low: int, high: int) -> BeforeValidator:
    return BeforeValidator(lambda text: parse.parse_whole(str(text), low, high))


def _decimal(low: float, high: float) -> BeforeValidator:
    return BeforeValidator(lambda text: parse.parse_decimal(str(text), low, high))


def _choice(*choices: str) -> BeforeValidator:
    return BeforeValidator(lambda text: parse.parse_choice(text, choices))


class Config(MailAccount):
    """Every setting, checked and frozen; the name of a variable in lower case is its attribute.

    Times are seconds, folders and SQLite files absolute. None or () means "not set".
    """

    _warnings: tuple[Both, ...] = PrivateAttr(default=())
    _new_key_file: Path | None = PrivateAttr(default=None)

    # The order matters: a reader looks back at the settings above its own.
    celery_broker_url: Annotated[str, BeforeValidator(readers.read_broker)] = Field(
        default="redis://127.0.0.1:6379/0", repr=False
    )
    celery_result_backend: Annotated[str, BeforeValidator(readers.read_result_backend)] = Field(
        default="", validate_default=True, repr=False
    )

    smtp_host: Annotated[str | None, BeforeValidator(readers.read_host)] = None
    smtp_port: Annotated[int, _whole(1, 65_535)] = 587
    smtp_username: Annotated[str | None, BeforeValidator(readers.read_username)] = Field(
        default=None, validate_default=True
    )
    smtp_password: Annotated[SecretStr | None, BeforeValidator(readers.read_password)] = Field(
        default=None, validate_default=True
    )
    smtp_security: Annotated[
        Literal["auto", "ssl", "starttls", "none"], BeforeValidator(readers.read_security)
    ] = "auto"
    smtp_ca_file: Annotated[Path | None, BeforeValidator(readers.read_ca_file)] = None
    smtp_pipelining: Annotated[Literal["auto", "off"], _choice("auto", "off")] = "auto"
    smtp_timeout: Annotated[float, _decimal(0.01, 600)] = 30.0
    smtp_connections: Annotated[int, _whole(1, 100)] = 1
    smtp_rate_per_minute: Annotated[int | None, _whole(1, 1_000_000)] = None
    mail_from: Annotated[str | None, BeforeValidator(readers.read_mail_from)] = Field(
        default=None, validate_default=True
    )
    mail_reply_to: Mailbox | None = None
    mail_return_path: Annotated[str | None, BeforeValidator(readers.read_return_path)] = None
    mail_dkim_selector: Annotated[str | None, BeforeValidator(readers.read_selector)] = None
    mail_only_to: Annotated[tuple[str, ...], BeforeValidator(readers.read_only_to)] = ()
    local_mailbox: Annotated[bool, BeforeValidator(readers.read_mailbox_flag)] = Field(
        default=False, alias="TASK_PROGRESS_MAILBOX"
    )

    data_dir: Annotated[Path, BeforeValidator(readers.read_folder)] = Field(
        default=Path("data"), validate_default=True
    )
    database_url: Annotated[str, BeforeValidator(readers.read_database)] = Field(
        default="", validate_default=True, repr=False
    )
    secret_key: Key = SecretStr("")
    secret_key_previous: Key | None = None

    app_base_url: WebUrl = "http://127.0.0.1:8000"
    app_timezone: Annotated[str, BeforeValidator(parse.parse_timezone)] = "Asia/Tokyo"
    app_locale: Annotated[Literal["ja", "en"], _choice("ja", "en")] = "ja"
    log_format: Annotated[Literal["text", "json"], _choice("text", "json")] = "text"
    mcp_server: Annotated[Literal["off", "on"], _choice("off", "on")] = "off"
    debug: Annotated[bool, BeforeValidator(readers.read_debug)] = False
    flask_debug: Annotated[bool, BeforeValidator(readers.read_debug)] = False

    ai_base_url: WebUrl | None = None
    ai_api_key: SecretStr | None = None
    ai_model: str | None = None
    heartbeat_url: Annotated[str | None, BeforeValidator(readers.read_heartbeat)] = Field(
        default=None, repr=False
    )

    https_proxy: Annotated[str | None, BeforeValidator(readers.read_proxy)] = Field(
        default=None, repr=False
    )
    no_proxy: str = ""

    test_clock_offset: Annotated[
        float, _decimal(-_HUNDRED_YEARS, _HUNDRED_YEARS), BeforeValidator(readers.read_rehearsal)
    ] = 0.0
    test_time_scale: Annotated[
        float, _decimal(0.0001, 100), BeforeValidator(readers.read_rehearsal)
    ] = 1.0
    # Where a sender dies as by kill -9 (app/util/crash_points.py names the places).
    crash_at: Annotated[str | None, BeforeValidator(readers.read_rehearsal)] = None

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        """No value may hold a newline, a tab or a NUL."""
        if isinstance(value, str) and any(c < " " or c == "\x7f" for c in value):
            raise UnusableValue(
                "改行などの制御文字が入っています。1行の値にしてください。",
                "It holds a newline or another control character. Make it one line.",
            )
        return value

    @property
    def rehearsal_allowed(self) -> bool:
        """Whether no mail can leave this machine: --now, --date and TEST_* are allowed then."""
        return urls.is_loopback(self.smtp_host)

    @property
    def dead_links(self) -> bool:
        """Whether mails leave this machine with links that only open on it."""
        leaves = self.smtp_host is not None and not urls.is_loopback(self.smtp_host)
        return leaves and urls.leads_home(self.app_base_url)

    def day_of(self, instant: datetime) -> date:
        """The local date in APP_TIMEZONE."""
        return instant.astimezone(ZoneInfo(self.app_timezone)).date()

    @property
    def mcp_url(self) -> str | None:
        """Where agents connect; None while that is off."""
        return f"{self.app_base_url}/mcp" if self.mcp_server == "on" else None

    @property
    def http(self) -> HttpClient:
        """How this installation asks by HTTP."""
        return HttpClient(self.smtp_ca_file, self.https_proxy, self.no_proxy)

    @property
    def warnings(self) -> tuple[Both, ...]:
        """What stops nothing but should be mended, such as a secret that all accounts can read."""
        return self._warnings

    @property
    def new_key_file(self) -> Path | None:
        """The file of a secret key that was made just now, as there was none."""
        return self._new_key_file


NAMES = frozenset(str(field.alias) for field in Config.model_fields.values())


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Config:
    """Read and check every setting. Raises ConfigError with all faults at once.

    `environ` defaults to the environment of this process, `folder` (of `.env` and of relative
    paths) to the project's folder. Makes DATA_DIR and DATA_DIR/secret_key where they are needed
    and missing, but touches nothing while there are faults.
    """
    place = (folder or home()).absolute()
    faults: Faults = []
    said: Warnings = []
    values = gather(os.environ if environ is None else environ, place, NAMES, faults, said)
    config = _check(values, place, faults)
    if config is not None and not faults:
        config = _create_data_dir(config, faults, said)
    if config is None or faults:
        raise ConfigError(faults)
    for file in config.key_files:
        check_mode(file, said)
    if environ is None:
        _write_back(config)
    config._warnings = tuple(said)  # noqa: SLF001  # our own, set once before it is used
    return config


def load_or_exit(*, service: bool = False) -> Config:
    """`load` for the start of a program: prints the whole list to stderr and exits.

    A command exits with 2. A `service` (beat, worker, pages) with EX_CONFIG, after which
    its unit does not start it again; with EX_TEMPFAIL where that may help (sysexits.h, FreeBSD).
    """
    try:
        return load()
    except ConfigError as error:
        print(error.text(shell_locale(os.environ)), file=sys.stderr)
        code = os.EX_TEMPFAIL if error.passing else os.EX_CONFIG
        raise SystemExit(code if service else 2) from None


def _check(values: Mapping[str, str], place: Path, faults: Faults) -> Config | None:
    """The settings, or None and one fault more for every value that cannot be used."""
    known = {name.removesuffix("_FILE") for name, _ in faults}
    try:
        return Config.model_validate(values, context=place)
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0]).upper()  # a missing value is named by its field
            if name not in known:  # an unreadable NAME_FILE is fault enough for NAME
                faults.append((name, fault["ctx"]["error"].sentence))
    return None


def _create_data_dir(config: Config, faults: Faults, said: Warnings) -> Config:
    """Make DATA_DIR and the secret key if they are needed and missing."""
    wants_key = not config.secret_key.get_secret_value()
    wants_folder = config.database_url.startswith(f"sqlite:///{config.data_dir}/")
    try:
        if wants_key or wants_folder:
            config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            keep_private(config.data_dir)
        if wants_key:
            file = config.data_dir / SECRET_KEY_FILE
            key = readers.read_key(_kept_key(file))
            check_mode(file, said)
            config = config.model_copy(update={"secret_key": key})
            config._new_key_file = file if file in _MADE else None  # noqa: SLF001  # as below, ours
    except OSError as error:
        where, why = relative(config.data_dir), of_the_system(error)
        sentence = Passing(
            f"{where} が使えません({why.ja})。フォルダーの持ち主と権限を確かめてください。",
            f"{where} cannot be used ({why.en}). Check who owns the folder and its permissions.",
        )
        faults.append(("DATA_DIR", sentence))
    except UnusableValue as error:
        faults.append(("SECRET_KEY", error.sentence))
    return config


def _kept_key(file: Path) -> SecretStr:
    """The key in `file`; made on the first start, once, however many programs start together."""
    if not file.exists():
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".secret_key-")  # mode 0600
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(48) + "\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, file)  # unlike a rename it never replaces the key of another program
            _MADE.add(file)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return SecretStr(file.read_text(encoding="utf-8", errors="replace").strip())


def _write_back(config: Config) -> None:
    """Trap: Celery takes these two from the environment over its configuration, uncleaned."""
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        if name in os.environ:
            os.environ[name] = getattr(config, name.lower())
