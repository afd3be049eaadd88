"""A file from the net, in blocks; whatever goes wrong is said in one line."""

from collections.abc import Iterator

from muslin.errors import DataError


def fetch(address: str, timeout_s: float, max_bytes: int) -> Iterator[bytes]:
    """The content at `address`, block by block.

    Args:
        timeout_s: seconds to wait for a server that does not answer.
        max_bytes: a server that sends more is left.

    Raises:
        DataError: it cannot be reached, refuses, breaks off before its own length, or sends too much.
    """
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, headers={"User-Agent": "muslin"})
    count = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            promised = response.headers.get("Content-Length")
            while block := response.read(2**18):
                count += len(block)
                if count > max_bytes:
                    raise DataError(
                        f"{address}: sends more than {max_bytes:,} bytes, so it is something else"
                    )
                yield block
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{address}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DataError(f"{address}: cannot be reached ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{address}: broke off after {count:,} bytes ({error or type(error).__name__})"
        ) from error
    if promised and promised.isdigit() and count < int(promised):
        raise DataError(f"{address}: broke off after {count:,} of {int(promised):,} bytes")
