"""How many photos a second does `tag` label, against a loop with Pillow and ONNX Runtime, and where does the time go?

    python benchmarks/tag_photos.py MODEL PHOTOS [--rounds 3] [--count N] [--memory N …] [--note SENTENCE]

PHOTOS is a folder of photos; `--count` takes only so many of them. `script` is the task as people write it: for each
batch of 32, open the photos with Pillow, scale them like the model's transform, run the graph in float32 with ONNX
Runtime's own settings, and write a CSV. `float32` and `int8` are `muslin tag` with an empty cache and this graph, as
far as the model has it (`--set int8=on`). Each is a process of its own from its start to its end, in turns, so that
each ratio is of one turn; utilisation is processor time by clock time and cores.

The stages are the processor time of one thread per photo, one stage after the other. `--memory` tags so many photos,
repeated under other names with other bytes, and keeps the peak memory of the process; with `--rounds 0` nothing else
is measured. Results go to benchmarks/results/.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

SCRIPT = """
import csv, json, sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

graph, labels, folder, out = sys.argv[1:]
side, target, classes = json.loads(Path(labels).read_text())
session = onnxruntime.InferenceSession(graph)
paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["image", "tag", "probability"])
    for start in range(0, len(paths), 32):
        batch = paths[start : start + 32]
        images = [Image.open(path).convert("RGB") for path in batch]
        images = [ImageOps.pad(image, (side, side), Image.Resampling.LANCZOS) for image in images]
        (probabilities,) = session.run([target], {"pixels": np.stack([np.asarray(image) for image in images])})
        for path, row in zip(batch, probabilities):
            writer.writerow([path, classes[row.argmax()], row.max()])
"""


def timed(line: list[str], cache: Path) -> dict[str, float]:
    """A process from its start to its end: clock and processor time, use of the cores, and peak memory."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, line
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cores = len(os.sched_getaffinity(0))
    return {
        "wall_s": round(wall, 2), "processor_s": round(processor, 2), "utilisation": round(processor / wall / cores, 3),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }  # fmt: skip


def graphs_of(model: str) -> list[str]:
    from muslin.models.predictor import Predictor

    return ["float32"] + ["int8"] * (Predictor.open(model, 1, graph="float32").bundle.int8 is not None)


def stages(model: str, photos: list[Path], graph: str) -> dict[str, float]:
    """Milliseconds of one thread per photo: reading, decoding, scaling, the network in batches."""
    from muslin.images import decode, decoding_side, transform_decoded
    from muslin.models.photo_pipeline import BATCH
    from muslin.models.predictor import Predictor

    predictor = Predictor.open(model, threads=1, graph=graph)
    preprocessing = predictor.bundle.preprocessing
    side = decoding_side(preprocessing.transform, preprocessing.shape)
    predictor.infer(np.zeros((BATCH, *preprocessing.shape), np.uint8))
    times = [time.thread_time()]
    contents = [photo.read_bytes() for photo in photos]
    times.append(time.thread_time())
    decoded = [decode(content, min_side_px=side) for content in contents]
    times.append(time.thread_time())
    pixels = [transform_decoded(each, preprocessing.transform, preprocessing.shape)[0] for each in decoded]
    times.append(time.thread_time())
    for start in range(0, len(pixels), BATCH):
        predictor.infer(np.stack(pixels[start : start + BATCH]), BATCH)
    times.append(time.thread_time())
    names = ("read_ms", "decode_ms", "scale_ms", "network_ms")
    return {name: round(1000 * float(each) / len(photos), 2) for name, each in zip(names, np.diff(times), strict=True)}


def write_script(folder: Path, model: str) -> list[str]:
    """The words that run SCRIPT with the model's graph, up to the folder of photos."""
    import json

    from muslin.models.predictor import Predictor

    bundle = Predictor.open(model, graph="float32").bundle
    target = bundle.targets[0]
    (folder / "script.py").write_text(SCRIPT)
    (folder / "model.onnx").write_bytes(bundle.model)
    (folder / "labels.json").write_text(json.dumps([bundle.preprocessing.width, target.name, target.classes]))
    return [sys.executable, str(folder / "script.py"), str(folder / "model.onnx"), str(folder / "labels.json")]


def copied(photos: list[Path], count: int, folder: Path) -> Path:
    """A folder of `count` photos, no two with the same bytes."""
    folder.mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        content = photo.read_bytes() + (number.to_bytes(4, "big") if number >= len(photos) else b"")
        (folder / f"{number:06}{photo.suffix}").write_bytes(content)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, help="photos; default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    words = [Path(word).name if os.path.exists(word) else word for word in sys.argv[1:]]
    head = start_result("How many photos a second does `tag` label, and where does the time go?", arguments.note, words)
    found = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = found if arguments.count is None else found[:: max(1, len(found) // arguments.count)][: arguments.count]
    graphs = graphs_of(arguments.model)
    some = chosen[:: max(1, len(chosen) // 256)]
    measured_stages = {graph: stages(arguments.model, some, graph) for graph in graphs if arguments.rounds}
    print(measured_stages, flush=True)
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = copied(chosen, len(chosen), folder / "photos")
        script = write_script(folder, arguments.model)
        tag = [sys.executable, "-m", "muslin", "tag", arguments.model]
        lines = {"script": [*script, str(photos), str(folder / "script.csv")]}
        for graph in graphs:
            out = str(folder / f"{graph}.csv")
            lines[graph] = [*tag, str(photos), "--graph", graph, "-o", out, "--overwrite"]
        for _ in range(arguments.rounds):
            for way, line in lines.items():
                runs.setdefault(way, []).append(timed(line, folder / "cache"))
                shutil.rmtree(folder / "cache", ignore_errors=True)
                print(way, runs[way][-1], flush=True)
        memory = []
        for count in arguments.memory:
            many = copied(chosen, count, folder / "many")
            memory.append(
                {"photos": count} | timed([*tag, str(many), "-o", str(folder / f"{count}.csv")], folder / "c")
            )
            print(memory[-1], flush=True)
            shutil.rmtree(many)
            shutil.rmtree(folder / "c", ignore_errors=True)
    rates = {way: [len(chosen) / run["wall_s"] for run in each] for way, each in runs.items()}
    result = {
        "photos": len(chosen),
        "stages": measured_stages,
        "median_photos_per_s": {way: round(statistics.median(each), 1) for way, each in rates.items()},
        "rate_relative_to_script": {
            way: [round(a / b, 3) for a, b in zip(rates[way], rates["script"], strict=True)]
            for way in graphs
            if way in rates
        },
        "runs": runs,
        "memory": memory,
    }
    print(result["median_photos_per_s"], result["rate_relative_to_script"])
    write_result(head, result)


if __name__ == "__main__":
    main()
