"""Requests to an ASGI application without a network or a server."""

import asyncio
import json
from typing import Any


def ask(app: Any, method: str, path: str, body: Any = None, query: str = "", headers: Any = ()) -> tuple[int, bytes]:
    """The status and content of the response; `body` is bytes, or what becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "root_path": "", "scheme": "http", "query_string": query.encode(), "headers": list(headers),
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8001),
    }  # fmt: skip
    requests = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Any] = []

    async def run() -> None:
        is_complete = asyncio.Event()

        async def receive() -> Any:
            if requests:
                return requests.pop()
            await is_complete.wait()  # as a client that stays until it has the whole response
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                is_complete.set()

        await app(scope, receive, send)

    asyncio.run(run())
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
