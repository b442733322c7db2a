"""A pgbouncer before one PostgreSQL database; tests that need one are skipped where it is missing."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from tests.postgres import Account
from tests.servers import accepts, free_port, wait_until

MISSING = not shutil.which("pgbouncer")


@contextlib.contextmanager
def pgbouncer(folder: Path, url: str, mode: str, size: int = 2) -> Iterator[str]:
    """The URL of `url`'s database by way of a pgbouncer; `size`: servers that it shares out."""
    server, port = make_url(url), free_port()
    account = Account()
    account.own(folder)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = user={server.username} host={server.host} port={server.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = {mode}\ndefault_pool_size = {size}\nlogfile = {folder}/log\n"
    )
    process = account.start(
        str(shutil.which("pgbouncer")), "-q", settings, log=folder.with_name("pgbouncer.said")
    )
    try:
        wait_until(lambda: process.poll() is not None or accepts(port), "pgbouncer")
        yield server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
