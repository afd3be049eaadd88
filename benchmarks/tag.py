"""How fast is a catalogue of 200,000 rows tagged, in how much memory, and does killing the job change its output?

    python benchmarks/tag.py MODEL [--rows N] [--rounds N] [--kills N] [--note SENTENCE]

The catalogue names 1,000 of Fashion-MNIST's images as PNG files, again and again. Each measurement is its own
process: `predict` passes a tenth of the photos through `Predictor.predict_iter` and drops the predictions; `tag` is
`muslin tag` on as many rows, in turns with `predict` because other processes can use the machine, and once on all
rows. Then one job on all rows is killed (SIGKILL) N times at even distances and resumed each time, and its output is
compared with the first. Peak memory is that of the process, as counted by the system. Results go to
benchmarks/results/.
"""

import argparse
import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

PHOTOS = 1000


def write_photos(folder: Path) -> None:
    from PIL import Image

    from muslin.data import read

    images = read("fashion-mnist").part("test").images
    folder.mkdir()
    for i in range(PHOTOS):
        Image.fromarray(images[i][:, :, 0]).save(folder / f"{i:04}.png")


def write_catalogue(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("SKU;name;image\r\n")
        file.writelines(f"{i:07};product no. {i};{i % PHOTOS:04}.png\r\n" for i in range(rows))


def measure(job: str, model: str, catalogue: Path, out: Path, rows: int) -> dict[str, Any]:
    from muslin.models.predictor import Predictor
    from muslin.workflows import tag as tag_workflow

    predictor = Predictor.open(model)
    wall, processor = time.perf_counter(), time.process_time()
    if job == "predict":
        photos = (str(catalogue.parent / "images" / f"{i % PHOTOS:04}.png") for i in range(rows))
        done = sum(prediction.error is None for prediction in predictor.predict_iter(islice(photos, rows)))
    else:
        done = tag_workflow.tag(predictor, catalogue, out, tag_workflow.TagOptions(resume=True)).products
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert done == rows
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "wall_s": round(wall, 2), "processor_s": round(processor, 2),
            "rows_per_s": round(rows / wall), "peak_mb": round(peak_mb)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, catalogue, out, rows = arguments.measure
        print(json.dumps(measure(way, arguments.model, Path(catalogue), Path(out), int(rows))))
        return

    head = start_result(
        "How fast is a catalogue tagged, in how much memory, and does killing the job change its output?",
        arguments.note,
    )
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "images")
        few = arguments.rows // 10
        write_catalogue(folder / "few.csv", few)
        write_catalogue(folder / "all.csv", arguments.rows)

        def command(way: str, catalogue: str, out: str, rows: int) -> list[str]:
            words = ["--measure", way, str(folder / catalogue), str(folder / out), str(rows)]
            return [sys.executable, __file__, arguments.model, *words]

        jobs = [("predict", "few.csv", few), ("tag", "few.csv", few)] * arguments.rounds
        for way, catalogue, rows in [*jobs, ("tag_all", "all.csv", arguments.rows)]:
            line = command(way, catalogue, f"{way}.csv", rows)
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
            runs.setdefault(way, []).append(json.loads(done.stdout))
            print(way, runs[way][-1], flush=True)
        whole, partial = (folder / "tag_all.csv").read_bytes(), folder / "killed.csv.partial"
        kills, size, last = 0, 0, len(whole)
        for turn in range(arguments.kills):
            until = size + last // (2 * arguments.kills)
            with subprocess.Popen(command("tag_all", "all.csv", "killed.csv", arguments.rows)) as process:
                while process.poll() is None and size < until:
                    time.sleep(0.005)
                    size = partial.stat().st_size if partial.exists() else 0
                process.kill()
            kills += process.returncode == -signal.SIGKILL
            print(f"kill {turn + 1}: the journal has {size:,} bytes", flush=True)
        line = command("tag_all", "all.csv", "killed.csv", arguments.rows)
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        same = (folder / "killed.csv").read_bytes() == whole
        print(f"killed {kills} times: {'the same bytes' if same else 'DIFFERENT BYTES'}", flush=True)
    rate = {way: statistics.median(run["rows_per_s"] for run in each) for way, each in runs.items()}
    result = {
        "median_rows_per_s": rate,
        "tag_rate_relative_to_predict": [
            round(tag["rows_per_s"] / predict["rows_per_s"], 3)
            for tag, predict in zip(runs["tag"], runs["predict"], strict=True)
        ],
        "kills": kills,
        "same_bytes_after_kills": same,
        "runs": runs,
    }
    write_result(head, result)


if __name__ == "__main__":
    main()
