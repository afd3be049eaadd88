"""The socket on which a server listens."""

import errno
import os
import socket

from muslin.errors import MuslinError


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """The socket that accepts connections.

    Args:
        host: a name or an address, of IPv6 also in brackets.
        port: 0 takes a free one.
        backlog: connections that the system holds until they are accepted.

    Raises:
        MuslinError: the port is in use or not allowed, or the host is not this machine's.
    """
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise MuslinError("port_in_use", port=port) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MuslinError("host_not_here", host=host, reason=reason) from error
