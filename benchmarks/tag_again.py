"""How long does `tag` take at another precision, with what the network gave for the photos in the cache?

    python benchmarks/tag_again.py MODEL CATALOGUE --images PHOTOS [--rounds N] [--note SENTENCE]

Each measurement is a `muslin tag` of its own process, from the start of Python to its end. The first job of a round
begins with an empty cache, at 0.95; `again` tags at 0.98 with the first one's cache. At the end, 0.98 is tagged once
with an empty cache, and the output compared. Processor time counts all threads. Results go to benchmarks/results/.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results_file import start_result, write_result


def tag(words: list[str], precision: str, cache: Path, out: Path) -> dict[str, float]:
    """Clock and processor time of one job, in seconds."""
    line = [sys.executable, "-m", "muslin", "tag", *words, "--precision", precision, "-o", str(out), "--overwrite"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 2), "processor_s": round(processor, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--images", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result("How long does `tag` take at another precision, with a cache?", arguments.note)
    words = [arguments.model, str(arguments.catalogue), "--images", arguments.images]
    runs: dict[str, list[dict[str, float]]] = {"first": [], "again": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(arguments.rounds):
            cache = folder / f"cache {number}"
            for way, precision in (("first", "0.95"), ("again", "0.98")):
                runs[way].append(tag(words, precision, cache, folder / f"{way}{arguments.catalogue.suffix}"))
                print(way, runs[way][-1], flush=True)
        sizes = [path.stat().st_size for path in cache.rglob("*.rows")]
        runs["without_cache"] = [tag(words, "0.98", folder / "new cache", folder / f"new{arguments.catalogue.suffix}")]
        outputs = [(folder / f"{way}{arguments.catalogue.suffix}").read_bytes() for way in ("again", "new")]
    result = {"same_bytes": outputs[0] == outputs[1], "cache_bytes": sum(sizes)}
    write_result(head, {"rows": outputs[0].count(b"\n") - 1, **result, "runs": runs})


if __name__ == "__main__":
    main()
