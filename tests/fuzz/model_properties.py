"""What holds for every model, however it was changed and sealed again: a coded error, or strict and finite JSON."""

import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from actions import check_messages
from starlette.requests import Request
from valid_files import encoded, picture
from valid_models import SIDE, bundles, run_graph

from muslin.cli import main
from muslin.errors import MuslinError
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.bundle import seal
from muslin.models.graph_cost import check_cost
from muslin.models.onnx_check import check_graph
from muslin.models.predictor import Predictor
from muslin.studio import routes
from muslin.web.responses import response_of

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

COMMANDS = (
    ["inspect", "m.muslin"],
    ["predict", "m.muslin", "photos/dress/0.png"],
    ["evaluate", "m.muslin", "photos", "--split", "all"],
    ["tag", "m.muslin", "table.csv", "-o", "tagged.csv"],
    ["compare", "m.muslin", "sound.muslin", "photos", "--split", "all"],
    ["explain", "m.muslin", "photos/hat/0.png"],
)


def check_bundle(content: bytes, folder: Path) -> None:
    """Every command and every route of the studio that opens a model."""
    (folder / "m.muslin").write_bytes(content)
    _write_data(folder)
    try:
        predictor = Predictor.open(folder / "m.muslin", threads=1)
    except MuslinError as error:
        _check_error(error)
        check_command([*COMMANDS[0], "--json"], folder)
        return
    for words in COMMANDS:
        check_command([*words, "--json"], folder)
        if "-o" in words:
            (folder / words[-1]).unlink(missing_ok=True)
    check_command(COMMANDS[0], folder)
    _check_studio(predictor)


def _write_data(folder: Path) -> None:
    lines = ["photo,label"]
    for label in ("dress", "hat", "shoe"):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(2):
            name = f"photos/{label}/{number}.png"
            (folder / name).write_bytes(encoded(picture(len(lines), SIDE, SIDE), "PNG"))
            lines.append(f"{name},{label}")
    (folder / "table.csv").write_text("\n".join([*lines, ""]))
    seal(bundles()["one target"], folder / "sound.muslin")


def check_command(words: Sequence[str], folder: Path) -> None:
    """A command ends in success or a coded error, and prints strict JSON and nothing that steers a terminal."""
    words = [str(folder / word) if (folder / word).exists() or "." in word else word for word in words]
    code, out, err = run_command(words)
    assert code in (0, 1), (words, err)
    assert "Traceback" not in err, (words, err)
    assert not CONTROLS.search(out), (words, out)
    assert not CONTROLS.search(err), (words, err)
    if "--json" in words:
        results = [strict_json(line) for line in out.splitlines()]
        assert len(results) >= 1, (words, err)
        errors = [result["error"]["code"] for result in results if isinstance(result.get("error"), dict)]
        assert "internal" not in errors, (words, err)
        assert bool(errors) or code == 0 or words[0] == "predict", (words, out, err)


def run_command(words: Sequence[str]) -> tuple[int, str, str]:
    """The exit code of `muslin WORDS…` in this process, and what it printed."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before, sys.argv = sys.argv, ["muslin", *words]
    code: Any = None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as left:
        code = left.code
    finally:
        sys.argv = before
    texts = [file.buffer.getvalue().decode("utf-8", "strict") for file in (out, err)]  # type: ignore[attr-defined]
    return (code if isinstance(code, int) else int(code is not None)), texts[0], texts[1]


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} in JSON")

    value = json.loads(text, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()  # no lone surrogate in any text
    return value


@contextmanager
def coded_errors() -> Iterator[None]:
    try:
        yield
    except MuslinError as error:
        _check_error(error)


def _check_error(error: MuslinError) -> None:
    check_messages([error.message])
    assert error.status < 500, error


def _check_studio(predictor: Predictor) -> None:
    model = InspectedModel.of(predictor)
    target = predictor.targets[0]
    inspection = Inspection(model, predictor.bundle.golden_pixels[0], preprocessed=True)
    with coded_errors():
        _check_answer(routes.describe_model(model, "m.muslin"))
    with coded_errors():
        _check_answer(routes.describe_predictions(inspection, None))
    layers = list(model.layered.layers) if model.has_layers else []
    for layer in (layers[len(layers) // 3 :: len(layers)], layers[-1:])[len(predictor.targets) % 2]:
        body = {"layer": layer.name, "target": target.name, "class": target.classes[0], "index": [0] * len(layer.shape)}
        for answer in routes.INSPECTION_ROUTES.values():
            with coded_errors():
                _check_answer(answer(inspection, body))
    edits = [{"kind": kind, "layer": layer.name, "channel": 0} for layer in layers for kind in layer.edits]
    for edit in edits[:: max(1, len(edits) // 4)]:
        with coded_errors():
            pixels = predictor.bundle.golden_pixels[0]
            edited = Inspection(model, pixels, model_edits=(edit,), preprocessed=True)
            _check_answer(routes.describe_predictions(edited, None))


def _check_answer(answer: Any) -> None:
    content = response_of(Request({"type": "http", "headers": []}), answer).body
    if not isinstance(answer, tuple) and content[:6] != b"\x93NUMPY":
        assert not CONTROLS.search(bytes(content).decode())
        strict_json(bytes(content).decode())


def check_changed_graph(content: bytes, folder: Path) -> None:
    """A graph is refused, or it runs for one image and for three, with tensors no larger than was computed."""
    pixels = np.zeros((3, SIDE, SIDE, 1), np.uint8)
    try:
        cost = check_cost(check_graph(content), (SIDE, SIDE, 1), len(pixels))
    except MuslinError as error:
        _check_error(error)
        return
    try:
        results = {n: run_graph(content, pixels[:n]) for n in (1, 3)}
    except MemoryError:
        raise
    except Exception:  # onnxruntime's exceptions have no other common base
        return
    for n, arrays in results.items():
        for name, values in arrays.items():
            assert values.size <= n * cost.largest, (name, values.shape, cost)
