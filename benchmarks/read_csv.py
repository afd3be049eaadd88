"""Time and memory to read Fashion-MNIST's 60,000 rows of pixels from Kaggle's CSV.

    python benchmarks/read_csv.py [--rounds N] [--readers muslin,pandas,…] [--note SENTENCE]

Writes fashion-mnist_train.csv (133 MB) into a temporary folder; each reader makes labels (60,000,) and pixels
(60,000, 784) of it. Every measurement is a separate process. The readers take turns for N rounds, so that other load on
the machine affects them alike. Prints a table and writes the result to benchmarks/results/.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import peak_mb, start_result, write_result

PIXELS_MB = 60_000 * 784 / 1e6

Labels = NDArray[np.integer[Any]]
Pixels = NDArray[np.integer[Any]]
Reader = Callable[[Path], tuple[Labels, Pixels]]


def with_muslin() -> Reader:
    from muslin.data.dataset import pixel_array
    from muslin.data.formats import ReadOptions, pixels

    def read(path: Path) -> tuple[Labels, Pixels]:
        dataset = pixels.read(path, ReadOptions())
        return dataset.labels["label"], pixel_array(dataset).reshape(len(dataset), -1)

    return read


def with_pandas() -> Reader:
    import pandas

    return lambda path: split(pandas.read_csv(path).to_numpy())


def with_pyarrow() -> Reader:
    import pyarrow
    import pyarrow.csv

    def read(path: Path) -> tuple[Labels, Pixels]:
        with path.open() as file:
            names = file.readline().strip().split(",")
        options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.uint8()))
        rows = np.empty((0, len(names)), dtype=np.uint8)
        for batch in pyarrow.csv.open_csv(path, convert_options=options):
            count = len(rows)
            rows.resize((count + len(batch), len(names)), refcheck=False)
            for place, column in enumerate(batch.columns):
                rows[count:, place] = column.to_numpy()
        return split(rows)

    return read


def with_polars() -> Reader:
    import polars

    return lambda path: split(polars.read_csv(path, schema_overrides=[polars.UInt8] * 785).to_numpy())


def with_numpy() -> Reader:
    return lambda path: split(np.loadtxt(path, dtype=np.uint8, delimiter=",", skiprows=1))


READERS: dict[str, Callable[[], Reader]] = {
    "muslin": with_muslin,
    "pandas": with_pandas,
    "pyarrow": with_pyarrow,
    "polars": with_polars,
    "numpy.loadtxt": with_numpy,
}
"""Per reader, a function that imports it and returns the function to measure, so that imports do not count."""


def split(rows: NDArray[np.integer[Any]]) -> tuple[Labels, Pixels]:
    """Views of the first column and of the others, without a copy that would count."""
    return rows[:, 0], rows[:, 1:]


def measure(reader: str, path: Path) -> dict[str, float]:
    read = READERS[reader]()
    before_mb = peak_mb()
    wall, processor = time.perf_counter(), time.process_time()
    labels, pixels = read(path)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    after_mb = peak_mb()
    return {
        "wall_s": round(wall, 3),
        "processor_s": round(processor, 3),
        "peak_mb": round(after_mb, 1),
        "grown_mb": round(after_mb - before_mb, 1),
        "checksum": int(labels.sum(dtype=np.int64) + pixels.sum(dtype=np.int64)),
    }


def spread(values: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "all": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    installed = [reader for reader in READERS if importlib.util.find_spec(reader.split(".")[0])]
    parser.add_argument("--readers", default=",".join(installed), help="by default all that are installed")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--measure", nargs=2, metavar=("READER", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
        return

    from muslin.data import read
    from muslin.data.convert import write_csv

    readers = arguments.readers.split(",")
    packages = {reader.split(".")[0] for reader in readers}
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    head["versions"] |= {name: importlib.metadata.version(name) for name in packages}
    runs: dict[str, list[dict[str, float]]] = {reader: [] for reader in readers}
    with tempfile.TemporaryDirectory() as folder:
        path = write_csv(read("fashion-mnist"), Path(folder))[0]
        csv_mb = path.stat().st_size / 1e6
        for _ in range(arguments.rounds):
            for reader in readers:
                command = [sys.executable, __file__, "--measure", reader, str(path)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                runs[reader].append(json.loads(done.stdout))
    if len({run["checksum"] for each in runs.values() for run in each}) != 1:
        sys.exit("The readers disagree about what is in the file.")

    keys = ("wall_s", "processor_s", "peak_mb", "grown_mb")
    table = {reader: {key: spread([run[key] for run in each]) for key in keys} for reader, each in runs.items()}
    print(f"{'':14} {'wall s (min–max)':>20} {'processor s':>12} {'peak MB':>8} {'× pixels':>9} {'× pandas':>9}")
    for reader, row in table.items():
        wall, processor, peak = row["wall_s"], row["processor_s"]["median"], row["peak_mb"]["median"]
        against = table.get("pandas", row)["wall_s"]["median"] / wall["median"]
        print(
            f"{reader:14} {wall['median']:8.2f} ({wall['min']:.2f}–{wall['max']:.2f}) {processor:12.2f} "
            f"{peak:8.0f} {peak / PIXELS_MB:9.1f} {against:9.1f}"
        )
    write_result(head, {"csv_mb": round(csv_mb, 1), "pixels_mb": round(PIXELS_MB, 1), "readers": table})


if __name__ == "__main__":
    main()
