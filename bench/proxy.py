"""A server far away: passes bytes on, and the answers later. `proxy PORT SERVER_PORT MILLISECONDS`"""

import asyncio
import contextlib
import sys
from collections.abc import Callable


async def _pass_on(
    reader: asyncio.StreamReader, write: Callable[[bytes], None], close: Callable[[], None]
) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            write(piece)
    close()


async def serve(port: int, server_port: int, seconds: float) -> None:
    """Until killed. What the client writes goes on at once, what the server writes waits."""
    loop = asyncio.get_running_loop()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server_port)
        await asyncio.gather(
            _pass_on(reader, far_writer.write, far_writer.close),
            _pass_on(
                far_reader,
                lambda piece: _later(loop, seconds, writer.write, piece),
                lambda: _later(loop, seconds, writer.close),
            ),
        )

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


def _later(
    loop: asyncio.AbstractEventLoop, seconds: float, what: Callable[..., object], *args: object
) -> None:
    loop.call_later(seconds, what, *args)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
