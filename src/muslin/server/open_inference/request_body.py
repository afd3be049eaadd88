"""A request's body, which a client of the protocol may have compressed."""

import zlib

from muslin.errors import MuslinError, unknown
from muslin.server.open_inference.errors import InferenceError

_ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Per Content-Encoding how zlib reads it: RFC 1952, and RFC 1950, which HTTP calls deflate."""


def decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A request's body as it was before its Content-Encoding; `identity` is none.

    Args:
        max_bytes: of the result; what becomes larger is refused before it is in memory.

    Raises:
        InferenceError: the body is not what its Content-Encoding says, or no such encoding is known.
        MuslinError: it becomes too large.
    """
    if encoding == "identity":
        return body
    if encoding not in _ENCODINGS:
        raise InferenceError("content_encoding", **unknown(encoding, _ENCODINGS))
    reader = zlib.decompressobj(_ENCODINGS[encoding])
    try:
        content = reader.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InferenceError("content_compressed", encoding=encoding) from error
    if len(content) > max_bytes:
        raise MuslinError("request_size", maximum_mb=max_bytes / 1e6)
    if not reader.eof or reader.unused_data:
        raise InferenceError("content_compressed", encoding=encoding)
    return content
