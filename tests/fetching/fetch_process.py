"""Fetches a table in a process of its own, which a test can kill; hosts are behind a port of this machine."""

import socket
import sys
from pathlib import Path

from muslin.errors import MuslinError
from muslin.fetching.connection import FetchLimits, Network
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import PUBLIC


def main(table: str, folder: str, port: str) -> None:
    place = "127.0.0.1", int(port)
    network = Network(lambda host, _: [PUBLIC], lambda address, _, wait_s: socket.create_connection(place, wait_s))
    plan = plan_fetch(table, Path(folder), FetchOptions(rate=200))
    limits = FetchLimits(connect_s=5, idle_s=5, photo_s=10, retry_s=0.05)
    try:
        fetch(plan, set(plan.hosts), network=network, limits=limits)
    except MuslinError as error:
        sys.exit(error.code)


if __name__ == "__main__":
    main(*sys.argv[1:])
