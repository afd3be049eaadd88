"""A server whose standard error nobody reads: it serves, replaces models, reloads and stops all the same."""

import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

import muslin
from muslin.data.dataset import Target
from muslin.models.bundle import open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from server_process import WAIT_S, gray, running_server
from small_models import small_bundle

PIPE_BYTES = 4096  # the smallest pipe
REQUESTS = 80  # whose lines it cannot hold
ROUNDS = 6  # of replacements, each of which tells of itself


def test_log_that_nobody_reads_stops_nothing(small_model: Path, tmp_path: Path) -> None:
    served_file, other, last = (tmp_path / f"{name}.muslin" for name in ("shirts", "other", "last"))
    shutil.copy(small_model, served_file)
    seal(small_bundle(count=4), other)
    seal(small_bundle(Target("label", ("Boot", "Cap", "Scarf"))), last)
    last_digest = prediction_digest(open_bundle(last))
    words = (f"shirts={served_file}", "--workers", "2")
    with running_server(*words, environment={"MUSLIN_TOKEN": "a-token"}) as server:
        assert server.process.stderr is not None
        assert fcntl.fcntl(server.process.stderr, fcntl.F_SETPIPE_SZ, PIPE_BYTES) == PIPE_BYTES
        with muslin.Client(server.address, token="a-token", timeout_s=20, retry_s=0) as client:
            for brightness in range(REQUESTS):
                client.predict(gray(brightness))
            digests = {client.replace("shirts", path).digest for path in [other, small_model] * (ROUNDS // 2)}
            assert len(digests | {last_digest}) == 3
            os.replace(last, served_file)
            server.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + WAIT_S
            while client.predict(gray(60))[0].digest != last_digest:
                assert time.monotonic() < end, "the file that changed is not served"
        server.process.terminate()
        assert server.process.wait(WAIT_S) == 0
        assert server.process.stderr.read().count("\n") < REQUESTS, "the pipe was full"
