"""What a service manager, such as systemd, wants to know: that the server is ready."""

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"
"""Names the socket on which systemd waits, for a service of `Type=notify`."""


def notify_ready() -> None:
    """Tell the service manager that requests are accepted, where one waits for it."""
    address = os.environ.get(VARIABLE)
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:  # it has gone
        connection.sendto(b"READY=1", address)
