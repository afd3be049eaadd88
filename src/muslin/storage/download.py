"""Downloads, block by block."""

from collections.abc import Iterator

from muslin.errors import DataError
from muslin.library_errors import reason_of

BLOCK_BYTES = 2**18


def fetch(url: str, timeout_s: float, max_bytes: int) -> Iterator[bytes]:
    """The content at `url`, block by block.

    Args:
        timeout_s: seconds to wait for a server that does not respond.
        max_bytes: the connection to a server that sends more is closed.

    Raises:
        DataError: the server cannot be reached, refuses, stops before the length it announced, or sends too much.
    """
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "muslin"})
    count = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            length = response.headers.get("Content-Length")
            while block := response.read(BLOCK_BYTES):
                count += len(block)
                if count > max_bytes:
                    raise DataError("download_too_large", url=url, max_bytes=max_bytes)
                yield block
    except urllib.error.HTTPError as error:
        error.close()
        phrase = http.client.responses.get(error.code, "")  # not the server's own, which can be any text
        raise DataError("download_refused", url=url, http_status=error.code, reason=phrase) from error
    except urllib.error.URLError as error:
        cause = error.reason if isinstance(error.reason, Exception) else error
        raise DataError("server_unreachable", url=url, reason=reason_of(cause)) from error
    except (OSError, http.client.HTTPException) as error:
        reason = reason_of(error)
        raise DataError("download_broken", url=url, bytes=count, reason=reason, expected=None) from error
    if length and length.isdecimal() and count < int(length):
        raise DataError("download_broken", url=url, bytes=count, expected=int(length), reason=None)
