"""The SMTP server of the local mailbox: catches every mail, sends none on.

Its own process, so that it can die and come back like any mail server:
`python -m app.local.catcher --port 2525 --folder data/mailbox`. Listens on loopback only,
without TLS and without login.
"""

import argparse
import asyncio
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from app import clock
from app.local.mailbox import keep

_LARGEST_MAIL = 32 * 2**20  # bytes, offered as SIZE


class _Keeper:
    """Answers 250 only after the mail is on the disk (RFC 5321, 4.2.5: then it is ours)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(  # noqa: N802 - aiosmtpd asks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        try:
            kept = [await asyncio.to_thread(self._keep, envelope, to) for to in envelope.rcpt_tos]
        except OSError as error:
            return f"452 4.3.1 mailbox cannot store this mail: {error.strerror}"
        return f"250 2.0.0 kept as {' '.join(kept)}"

    def _keep(self, envelope: Envelope, recipient: str) -> str:
        data = envelope.content
        return keep(
            self.folder,
            data if isinstance(data, bytes) else b"",
            sender=envelope.mail_from or "",
            recipient=recipient,
            now=clock.now(),
        )


async def serve(port: int, folder: Path) -> None:
    """Catch mails on 127.0.0.1:`port` into `folder` until TERM or INT."""
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    server = await loop.create_server(
        lambda: SMTP(
            _Keeper(folder), data_size_limit=_LARGEST_MAIL, hostname="localhost", ident="mailbox"
        ),
        host="127.0.0.1",
        port=port,
    )
    async with server:
        await told_to_stop.wait()


def main() -> None:
    """The command line of this part."""
    options = argparse.ArgumentParser(prog="python -m app.local.catcher")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--folder", type=Path, required=True)
    chosen = options.parse_args()
    chosen.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(serve(chosen.port, chosen.folder))


if __name__ == "__main__":
    main()
