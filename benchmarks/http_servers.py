"""How many images a second does `muslin serve` answer, how soon, and in how much memory, beside other servers?

    python benchmarks/http_servers.py [--peers FOLDER] [--servers NAME …] [--cases NAME …] [--connections N …]
        [--window S] [--windows N] [--note SENTENCE]

FOLDER has an environment of each other server, called as the server: `fastapi` (with uvicorn[standard]),
`litserve`, `bentoml` and `mlserver`, each with onnxruntime, pillow and python-multipart. The peers' programs are in
`benchmarks/peer_servers`. All serve the same graph with one thread of ONNX Runtime, and turn and scale photos as the
model was trained; before anything is measured, their probabilities are compared with muslin's.

- Cases: `fashion-mnist`, a PNG of 28×28 gray pixels; `photo`, a JPEG of 300×225 pixels, both for the network of the
  recipe `tutorial`; and `large-network`, the same JPEG for that of `small-photo`, whose arithmetic is most of the work.
  The weights are untrained: the arithmetic is the same. muslin's models have calibration data, so its results have
  decisions too.
- Every connection sends one image, waits for the result, and sends the next. The server has one processor core, and the
  client the other.
- The servers of a case run side by side, and each window asks one of them for `--window` seconds and until all is
  answered, in turns, so that other work on the machine meets all of them. Turns are repeated until the p95 of each
  server's last three differ by at most a tenth, or `--windows` times; the medians are kept. `processor_us` is the
  server's processor time of an image, which other work changes less than the rest: a core answers at most 1,000,000
  divided by it. `times_muslin` is the median, over the turns, of its ratio to muslin's.
- `ready_s` is from the start of the process to its first result; `memory_mb` what all its processes have for
  themselves, and once what they share, after the windows. `model_ms` is one run of the model alone.

Keeps everything in benchmarks/results/.
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load_client import window
from results_file import start_result, write_result
from server_processes import end, memory_mb, processor_s

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peer_servers"
SERVER_CORE, CLIENT_CORE = 0, 1
STABLE, LAST = 0.1, 3
MAX_START_S = 60

Row = dict[str, float]

Started = tuple[int, int, bytes]
"""A server's process and port, and the request that asks it."""


@dataclass(frozen=True)
class Case:
    """One kind of image, and the model for it."""

    recipe: str
    shape: tuple[int, int, int]
    transform: str
    suffix: str

    def image(self) -> bytes:
        """A file: smooth shapes and a little noise, about as large as a real one."""
        from PIL import Image

        random = np.random.default_rng(0)
        size, mode = ((28, 28), "L") if self.suffix == "png" else ((300, 225), "RGB")
        smooth = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        noisy = np.asarray(smooth) + random.normal(0, 6, (size[1], size[0], 3))
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)
        image.save(file := io.BytesIO(), "PNG" if self.suffix == "png" else "JPEG", quality=90)
        return file.getvalue()


CASES = {
    "fashion-mnist": Case("tutorial", (28, 28, 1), "fashion-mnist", "png"),
    "photo": Case("tutorial", (28, 28, 1), "fit", "jpg"),
    "large-network": Case("small-photo", (64, 64, 3), "fit", "jpg"),
}


def write_model(case: Case, folder: Path) -> None:
    """The sealed model, its graph, and its classes."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from muslin.data.dataset import Target
    from muslin.learn.export import export
    from muslin.learn.modules import Net
    from muslin.learn.networks import build_network
    from muslin.learn.recipes import recipe
    from muslin.models.bundle import seal
    from small_models import with_calibration

    chosen, target = recipe(case.recipe), Target("label", tuple(f"class {i}" for i in range(10)))
    settings = {"widths": chosen.widths, "dropout": chosen.dropout, "activation": chosen.activation}
    table = build_network(chosen.network, case.shape, (target,), **settings)
    golden = np.random.default_rng(0).integers(0, 256, (16, *case.shape), dtype=np.uint8)
    bundle = export(Net(table, seed=0).eval(), (target,), transform=case.transform, golden=golden, provenance={})
    seal(with_calibration(bundle), folder / "model.muslin")
    (folder / "model.onnx").write_bytes(bundle.model)
    (folder / "classes.json").write_text(json.dumps(target.classes))


# ── Servers ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Server:
    """How a server is started, and how an image is sent to it."""

    command: Callable[[Path, int], list[str]]
    path: str
    body: Callable[[bytes, str], tuple[str, bytes]]
    environment: Callable[[int], dict[str, str]] = lambda port: {}


def form(image: bytes, suffix: str) -> tuple[str, bytes]:
    """An image as a browser's form sends it: the Content-Type and the body."""
    kind = {"png": "image/png", "jpg": "image/jpeg"}[suffix]
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="1.{suffix}"\r\nContent-Type: {kind}\r\n\r\n'
    return "multipart/form-data; boundary=x", head.encode() + image + b"\r\n--x--\r\n"


def tensor(image: bytes, suffix: str) -> tuple[str, bytes]:
    """An image as an element of a tensor of the Open Inference Protocol, in base64."""
    data = [base64.b64encode(image).decode()]
    inputs = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]
    return "application/json", json.dumps({"inputs": inputs}).encode()


def servers(peers: Path) -> dict[str, Server]:
    def python(name: str) -> str:
        return str(peers / name / "bin/python")

    return {
        "muslin": Server(
            lambda folder, port: [
                sys.executable, "-m", "muslin", "serve", str(folder / "model.muslin"), "--port", str(port),
                "--threads", "1",
            ],
            "/v1/predict", form,
        ),
        "fastapi": Server(
            lambda folder, port: [python("fastapi"), "-m", "uvicorn", "fastapi_app:app", "--port", str(port)],
            "/predict", form,
        ),
        "litserve": Server(lambda folder, port: [python("litserve"), "litserve_app.py", str(port)], "/predict", form),
        "bentoml": Server(
            lambda folder, port: [
                python("bentoml"), "-m", "bentoml", "serve", "bentoml_app:Classifier", "--host", "127.0.0.1", "--port",
                str(port),
            ],
            "/predict", form, lambda port: {"BENTOML_DO_NOT_TRACK": "True"},
        ),
        "mlserver": Server(
            lambda folder, port: [str(peers / "mlserver/bin/mlserver"), "start", str(PEERS)],
            "/v2/models/classifier/infer", tensor,
            lambda port: {
                "MLSERVER_HOST": "127.0.0.1", "MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()),
                "MLSERVER_METRICS_PORT": str(free_port()), "MLSERVER_PARALLEL_WORKERS": "0",
            },
        ),
    }  # fmt: skip


@contextmanager
def running(server: Server, folder: Path, message: bytes) -> Iterator[tuple[int, int, float]]:
    """The port, the process and the seconds to the first result of a server on SERVER_CORE."""
    port = free_port()
    environment = os.environ | {"MODEL_FOLDER": str(folder), "MODEL_THREADS": "1", "PYTHONPATH": os.pathsep.join(
        [str(PEERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    )} | server.environment(port)  # fmt: skip
    log = (folder / "server.log").open("ab")
    began = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *server.command(folder, port)],
        cwd=PEERS, env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        while not answers(port, message):
            if process.poll() is not None or time.perf_counter() - began > MAX_START_S:
                raise RuntimeError((folder / "server.log").read_text()[-600:])
            time.sleep(0.005)
        yield port, process.pid, time.perf_counter() - began
    finally:
        end(process)
        log.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def request_of(server: Server, image: bytes, suffix: str) -> bytes:
    kind, body = server.body(image, suffix)
    head = (
        f"POST {server.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answers(port: int, message: bytes) -> dict[str, Any] | None:
    """What the server answers; None where it is not ready."""
    with suppress(OSError, http.client.HTTPException), socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(30)
        connection.sendall(message)
        response = http.client.HTTPResponse(connection)
        response.begin()
        content = response.read()
        if response.status == 200:
            return {"content": json.loads(content)}
    return None


# ── Measuring ────────────────────────────────────────────────────────────────────────────────────────────


def one_window(pid: int, port: int, message: bytes, connections: int, seconds: float) -> Row:
    used = processor_s(pid)
    lasted, taken = asyncio.run(window(port, message, connections, seconds))
    used = processor_s(pid) - used
    p50, p95, p99 = np.percentile(taken, [50, 95, 99]) * 1e3
    row = {"images_per_s": len(taken) / lasted, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    return row | {"processor_us": 1e6 * used / len(taken)}


def is_stable(rows: list[Row]) -> bool:
    last = [row["p95_ms"] for row in rows[-LAST:]]
    return bool(len(last) == LAST and max(last) <= min(last) * (1 + STABLE))


def in_turns(
    started: dict[str, Started], failed: dict[str, str], connections: int, seconds: float, most: int
) -> dict[str, dict[str, Any]]:
    """What is kept of each server's windows; a server that fails goes from `started` to `failed`."""
    rows: dict[str, list[Row]] = {name: [] for name in started}
    for turn in range(most + 1):
        first = turn % max(1, len(started))
        for name in [*started][first:] + [*started][:first]:
            try:
                row = one_window(*started[name], connections, seconds if turn else 1.0)
            except (RuntimeError, TimeoutError) as error:
                failed[name] = f"{type(error).__name__}: {error}"
                del started[name], rows[name]
            else:
                if turn:  # the first window begins threads and caches
                    rows[name].append(row)
        if all(map(is_stable, rows.values())):
            break
    kept = {}
    for name, of_server in rows.items():
        row: dict[str, Any] = {"connections": connections, "windows": len(of_server), "is_stable": is_stable(of_server)}
        row |= {key: round(statistics.median(each[key] for each in of_server), 2) for key in of_server[0]}
        if "muslin" in rows:
            pairs = zip(of_server, rows["muslin"], strict=True)
            row["times_muslin"] = round(statistics.median(a["processor_us"] / b["processor_us"] for a, b in pairs), 3)
        kept[name] = row
    return kept


def check_peers(folder: Path, image: bytes) -> None:
    """Refuse to measure peers whose probabilities, before calibration, are not muslin's."""
    from muslin.models.photo_reading import read_image
    from muslin.models.predictor import Predictor

    os.environ |= {"MODEL_FOLDER": str(folder)}
    sys.path.insert(0, str(PEERS))
    from model import Model

    predictor, peer = Predictor.open(folder / "model.muslin"), Model()
    read = read_image("image", image, predictor.bundle.preprocessing, None)
    assert read.pixels is not None
    (raw,) = predictor.run_graph(read.pixels[np.newaxis])["label"]
    (result,) = peer.predict(peer.pixels(io.BytesIO(image))[np.newaxis])
    if not np.allclose(list(result["probabilities"].values()), raw, rtol=0, atol=1e-6):
        raise RuntimeError("the peers' preprocessing is not the model's")


def model_ms(folder: Path, case: Case) -> float:
    """One run of the model alone, the median."""
    from muslin.models.predictor import Predictor

    predictor = Predictor.open(folder / "model.muslin", threads=1)
    pixels = np.random.default_rng(1).integers(0, 256, (1, *case.shape), dtype=np.uint8)
    taken = []
    for _ in range(300):
        began = time.perf_counter()
        predictor.run_graph(pixels)
        taken.append(time.perf_counter() - began)
    return round(1e3 * statistics.median(taken[50:]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv-servers")
    names = list(servers(Path()))
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--window", type=float, default=5.0, metavar="S")
    parser.add_argument("--windows", type=int, default=8, help="of each server at most")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    chosen = {name: server for name, server in servers(arguments.peers).items() if name in arguments.servers}
    runs: list[dict[str, Any]] = []
    models: dict[str, float] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left
    os.sched_setaffinity(0, {CLIENT_CORE})
    for name in arguments.cases:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder, image = Path(temporary), case.image()
            write_model(case, folder)
            check_peers(folder, image)
            models[name] = model_ms(folder, case)
            messages = {key: request_of(server, image, case.suffix) for key, server in chosen.items()}
            for run in measure(chosen, folder, messages, arguments):
                runs.append({"case": name, "image_bytes": len(image)} | run)
                print(json.dumps(runs[-1], indent=1), flush=True)
    write_result(head, {"model_ms": models, "runs": runs})


def measure(
    chosen: Mapping[str, Server], folder: Path, messages: Mapping[str, bytes], arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """What was measured of each server; of one that fails, why."""
    started: dict[str, Started] = {}
    failed: dict[str, str] = {}
    starts: dict[str, dict[str, Any]] = {}
    with ExitStack() as opened:
        for name, server in chosen.items():
            try:
                port, pid, ready_s = opened.enter_context(running(server, folder, messages[name]))
            except RuntimeError as error:
                failed[name] = str(error)
                continue
            started[name] = pid, port, messages[name]
            first = answers(port, messages[name])
            starts[name] = {"ready_s": round(ready_s, 3), "result": first and first["content"]}
        rows = [in_turns(started, failed, each, arguments.window, arguments.windows) for each in arguments.connections]
        for name, (pid, _, _) in started.items():
            windows = [row[name] for row in rows]
            yield {"server": name, "memory_mb": round(memory_mb(pid)), "windows": windows} | starts[name]
    yield from ({"server": name, "failed": error} for name, error in failed.items())


if __name__ == "__main__":
    main()
