"""A response is sent as soon as it is there."""

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from muslin.studio.connections import Connection


def test_a_body_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    async def accept() -> int:
        made: list[Connection] = []
        config = uvicorn.Config(_app, http=Connection, ws="none", lifespan="off")
        config.load()

        def connection() -> Connection:
            made.append(Connection(config, ServerState(), {}))
            return made[-1]

        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = await asyncio.get_running_loop().create_server(connection, sock=listening)
            async with server:
                _, writer = await asyncio.open_connection(*listening.getsockname())
                while not made:
                    await asyncio.sleep(0)
                accepted = made[0].transport.get_extra_info("socket")
                found: int = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                made[0].transport.abort()
                writer.close()
        return found

    assert asyncio.run(accept())


async def _app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing is asked")
