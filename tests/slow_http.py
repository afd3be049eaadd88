"""slowhttptest, Debian's tool that opens many connections to a server, and sends or reads as slowly as it can."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

KINDS = {
    "heads": ["-H", "-u", "/openapi.json", "-i", "1"],
    "bodies": ["-B", "-u", "/v1/predict", "-f", "image/png", "-s", "100000", "-i", "1"],
    "reading": ["-X", "-u", "/openapi.json", "-k", "5", "-w", "10", "-y", "20", "-z", "5"],
}
"""What is slow: the heads of requests, their bodies, or the reading of responses."""


@contextmanager
def slow_connections(address: str, kinds: Sequence[str], count: int, seconds: int) -> Iterator[None]:
    """`count` slow connections to a server, as many of each kind, for `seconds` or until the block ends."""
    command = shutil.which("slowhttptest")
    assert command, "scripts/services installs slowhttptest"
    each = str(count // len(kinds))
    with ExitStack() as stack:
        for kind in kinds:
            words = [address + word if word.startswith("/") else word for word in KINDS[kind]]
            words += ["-c", each, "-r", each, "-l", str(seconds)]
            process = stack.enter_context(subprocess.Popen([command, *words], stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
        yield
