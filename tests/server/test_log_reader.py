"""A server whose standard error nobody reads: it serves, replaces models, reloads and stops all the same."""

import fcntl
import shutil
import signal
from pathlib import Path

import muslin
from muslin.models.bundle import seal
from server_process import gray, running_server
from small_models import small_bundle

REQUESTS = 80  # whose lines fill the smallest pipe
ROUNDS = 6  # of replacements, each of which tells of itself


def test_log_that_nobody_reads_stops_nothing(small_model: Path, tmp_path: Path) -> None:
    served_file, other = tmp_path / "shirts.muslin", tmp_path / "other.muslin"
    shutil.copy(small_model, served_file)
    seal(small_bundle(count=4), other)
    words = (f"shirts={served_file}", "--workers", "2")
    with running_server(*words, environment={"MUSLIN_TOKEN": "a-token"}) as server:
        assert server.process.stderr is not None
        fcntl.fcntl(server.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        with muslin.Client(server.address, token="a-token", timeout_s=20, retry_s=0) as client:
            for brightness in range(REQUESTS):
                client.predict(gray(brightness))
            digests = {client.replace("shirts", path).digest for path in [other, small_model] * (ROUNDS // 2)}
            server.process.send_signal(signal.SIGHUP)
            assert client.predict(gray(60))[0].digest in digests
    assert server.process.returncode == 0
