"""How long does an index of many photos take from kept features, how long a query, and how much memory?

    python benchmarks/similar_index.py [--photos N] [--rounds N] [--threads N] [--note SENTENCE]

The features are made up, float16 with 1,280 numbers as those of EfficientNet-Lite0: two photos of each product, whose
features differ by noise. In each round a process of its own makes the index from features in a file (the projection is
fitted, vectors are made, "the same product" is calibrated, and the sealed file is written), opens it again for a
search, and finds 20 products for each of 200 queries; another process finds the same 20 by the exact index of usearch
(`pip install usearch`), if it is there. Times are by the clock and by the processor, because others may use the
machine. --threads limits those of the matrix products.
Reading and hashing the photos themselves is not measured: that is the disk's. Results go to benchmarks/results/.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results_file import peak_mb, start_result, write_result

WIDTH, BASIS = 1280, 128
QUERIES = 200
BLOCK = 8192


def write_features(path: Path, photos: int) -> None:
    """float16 (photos, WIDTH); the two photos of a product follow each other."""
    random = np.random.default_rng(0)
    basis = random.standard_normal((BASIS, WIDTH), np.float32)
    features = np.memmap(path, np.float16, "w+", shape=(photos, WIDTH))
    for start in range(0, photos, BLOCK):
        count = min(BLOCK, photos - start)
        centres = random.standard_normal(((count + 1) // 2, BASIS), np.float32).repeat(2, axis=0)[:count]
        rows = (centres + 0.5 * random.standard_normal(centres.shape, np.float32)) @ basis
        features[start : start + count] = (rows + 2 * random.standard_normal(rows.shape, np.float32)).clip(0)
    features.flush()


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    return done, {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}


def measure(path: Path, photos: int) -> dict[str, Any]:
    from muslin.models.bundle import Preprocessing
    from muslin.models.feature_graph import FeatureGraph
    from muslin.similarity.fitting import fit_vectors
    from muslin.similarity.index import Index, IndexedPhotos, IndexSource, open_index, write_index
    from muslin.storage.outputs import Output

    features = np.memmap(path, np.float16, "r", shape=(photos, WIDTH))
    products = np.arange(photos, dtype=np.int64) // 2
    graph = FeatureGraph("made up", "", Preprocessing(224, 224, 3, "fit"), bytes(18_000_000))
    names = [f"photos/{number:08d}.jpg" for number in range(photos)]
    digests = np.random.default_rng(1).integers(0, 256, (photos, 32), np.uint8)
    out = path.with_name("shop.index")
    before_mb = peak_mb()

    def write(fitted: Any) -> None:
        of_products = [f"SKU-{number}" for number in range(int(products[-1]) + 1)]
        indexed = IndexedPhotos(names, digests, products, features)
        source = IndexSource("shop.csv", {}, {})
        index = Index(graph, indexed, of_products, fitted.projection, fitted.vectors, fitted.calibration, {}, source)
        write_index(Output(out, overwrite=True), index)

    fitted, fit = timed(lambda: fit_vectors(features, products))
    _, written = timed(lambda: write(fitted))
    built_mb = peak_mb()
    opened, opening = timed(lambda: open_index(out, for_search=True))
    queries = fitted.projection(features[:: photos // QUERIES])[:QUERIES]
    opened.search.nearest(queries[:1], 20)
    waits = [
        timed(lambda place=place: opened.search.nearest(queries[place : place + 1], 20))[1] for place in range(QUERIES)
    ]
    return {
        "fit": fit,
        "write": written,
        "build": {name: fit[name] + written[name] for name in fit},
        "open": opening,
        "query": {name: quantiles([1000 * wait[name] for wait in waits]) for name in waits[0]},
        "before_mb": before_mb,
        "peak_mb": built_mb,
        "index_mb": out.stat().st_size / 1e6,
    }


def quantiles(values: list[float]) -> dict[str, float]:
    return {"p50_ms": float(np.quantile(values, 0.5)), "p95_ms": float(np.quantile(values, 0.95))}


def search_only(path: Path) -> dict[str, Any]:
    """The memory of a process that opens the index and looks something up, and usearch's time for the same."""
    from muslin.similarity.index import open_index

    index = open_index(path.with_name("shop.index"), for_search=True)
    queries = np.asarray(index.vectors[:: len(index.vectors) // QUERIES][:QUERIES], np.float32)
    index.search.nearest(queries[:1], 20)
    found: dict[str, Any] = {"peak_mb": peak_mb()}
    try:
        from usearch.index import MetricKind, search
    except ImportError:
        return found
    vectors = index.search.vectors
    waits = [
        timed(lambda query=query: search(vectors, query, 40, MetricKind.IP, exact=True))[1] for query in queries[:50]
    ]
    found["usearch"] = {name: quantiles([1000 * wait[name] for wait in waits]) for name in waits[0]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--note", default="")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure or arguments.search:
        done = measure(arguments.measure, arguments.photos) if arguments.measure else search_only(arguments.search)
        print(json.dumps(done))
        return
    head = start_result(str(__doc__).splitlines()[0], arguments.note)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "features"
        write_features(path, arguments.photos)

        environment = dict(os.environ)
        if arguments.threads:
            environment["OPENBLAS_NUM_THREADS"] = str(arguments.threads)

        def run(way: str) -> dict[str, Any]:
            words = [sys.executable, __file__, "--photos", str(arguments.photos), way, str(path)]
            done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
            result: dict[str, Any] = json.loads(done.stdout)
            print(result, flush=True)
            return result

        rounds = [run("--measure") for _ in range(arguments.rounds)]
        searched = run("--search")
    median = {
        part: {name: statistics.median(each[part][name] for each in rounds) for name in rounds[0][part]}
        for part in ("fit", "write", "build", "open")
    }
    write_result(head, {"photos": arguments.photos, "median": median, "rounds": rounds, "search": searched})


if __name__ == "__main__":
    main()
