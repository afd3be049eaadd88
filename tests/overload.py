"""Many clients that never pause, in a process of their own: `python overload.py PORT CLIENTS SECONDS`, with an image's
bytes on standard input. Prints what they got, as JSON: how often each status, and LOST for no response.
"""

import asyncio
import json
import sys
import time
from collections import Counter

from http_load import LOST, post


async def client(port: int, request: bytes, end: float, outcomes: Counter[str]) -> None:
    """Send the request again and again, and note each response, on as few connections as the server lets."""
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            outcomes[LOST] += 1
            return
        try:
            while time.monotonic() < end and await one(reader, writer, request, outcomes):
                pass
        except (OSError, asyncio.IncompleteReadError):
            outcomes[LOST] += 1
        finally:
            writer.close()


async def one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, outcomes: Counter[str]
) -> bool:
    """Whether the connection stays open after the response."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers.get("content-length", "0")))
    status = head[0].split()[1]
    outcomes[status if status == "200" or "retry-after" in headers else f"{status} without Retry-After"] += 1
    return headers.get("connection") != "close"


async def main(port: int, count: int, seconds: float, image: bytes) -> Counter[str]:
    request, outcomes = post("/v1/predict", image, port, ["Content-Type: image/png"]), Counter[str]()
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(port, request, end, outcomes) for _ in range(count)))
    return outcomes


if __name__ == "__main__":
    found = asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read()))
    print(json.dumps(found))
