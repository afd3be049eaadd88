"""Run all benchmarks that need only Fashion-MNIST, one after the other, and update the tables in the documentation.

    scripts/bench [--quick] [NAME…] [--note SENTENCE]

A benchmark that fails is reported, and the others continue. To add one, add a row to BENCHMARKS.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RUN = "runs/bench"


@dataclass(frozen=True)
class Benchmark:
    """One script of this folder. The first line of its docstring is the question that it answers.

    Attributes:
        script: its name without `.py`.
        arguments: for a reliable result.
        quick: for a result within about a minute; None if it takes longer.
        peer: the environment of the library that muslin is compared with, a key of PEERS.
        peer_only: whether the script runs in the environment of the peer.
    """

    script: str
    arguments: str
    quick: str | None
    peer: str | None = None
    peer_only: bool = False

    @property
    def question(self) -> str:
        return (ast.get_docstring(ast.parse((HERE / f"{self.script}.py").read_text())) or "").splitlines()[0]


BENCHMARKS = (
    Benchmark("training_step_keras", "--rounds 5", "--rounds 1 --images 6144", peer="keras"),
    Benchmark("training_step", "--rounds 5", "--rounds 1 --steps 8"),
    Benchmark("step_parts", "", "--steps 8"),
    Benchmark("step_profile", "--rounds 3", "--rounds 1 --steps 5"),
    Benchmark("arithmetic_rate", "--rounds 5", "--rounds 1 --steps 8"),
    Benchmark("recipes", "--recipe quick --seeds 5", "--recipe quick --seeds 1"),
    Benchmark("serving", "--rounds 5", "--rounds 1 --seconds 0.5", peer="keras"),
    Benchmark("full_predictions", RUN, f"{RUN} --rounds 2 --seconds 0.1"),
    Benchmark("growth", "", "--quick"),
    Benchmark("int8", f"{RUN} fashion-mnist --threads 1 2", f"{RUN} fashion-mnist --rounds 1 --seconds 0.2"),
    Benchmark("read_csv", "--rounds 5", "--rounds 1"),
    Benchmark("read_index", "", "--rows 20000"),
    Benchmark("near_duplicates", "--rounds 3 --all-pairs", "--rounds 1"),
    Benchmark("label_errors", "", None),
    Benchmark("attribution", f"{RUN} fashion-mnist", None),
    Benchmark("selective", RUN, None),
    Benchmark("grouped_guarantee", "", "--draws 3"),
    Benchmark("ood", RUN, None),
    Benchmark("tag", RUN, None),
    Benchmark("tutorial_seeds", "--seeds 0,1,2", None),
    Benchmark("keras_tutorial", "article --epochs 4", None, peer="keras", peer_only=True),
)
PEERS = {"keras": "keras_tutorial"}
"""Per name of an environment, `.venv-NAME`, the script whose header lists its packages."""


def peer_interpreter(peer: str) -> Path:
    """The interpreter of the environment of `peer`, which is created if need be."""
    folder = ROOT / f".venv-{peer}"
    python = folder / "bin/python"
    if not python.exists():
        print(f"making the environment {folder.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    header = re.search(r"^# /// script\n(.*?)^# ///$", (HERE / f"{PEERS[peer]}.py").read_text(), re.M | re.S)
    assert header, f"{PEERS[peer]}.py has no header that lists its packages"
    packages = tomllib.loads(re.sub(r"^# ?", "", header[1], flags=re.M))["dependencies"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def run_benchmark(benchmark: Benchmark, arguments: str, note: str) -> None:
    """Run a benchmark after creating what it needs: the environment of its peer, a trained model.

    Raises:
        subprocess.CalledProcessError: the benchmark, or what it needs, failed.
    """
    python = peer_interpreter(benchmark.peer) if benchmark.peer else None
    if RUN in arguments and not (ROOT / RUN / "model.muslin").exists():
        words = ["train", "fashion-mnist", "--recipe", "quick", "--out", RUN]
        subprocess.run([sys.executable, "-m", "muslin", *words], check=True, cwd=ROOT)
    words = [str(HERE / f"{benchmark.script}.py"), *arguments.split()]
    command = [str(python) if python and benchmark.peer_only else sys.executable, *words]
    subprocess.run([*command, *(["--note", note] if note else [])], check=True, cwd=ROOT)


def main() -> int:
    names = [benchmark.script for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="about five minutes: fewer and shorter benchmarks")
    parser.add_argument(
        "--note", default="", help="a remark to store with the results, such as other load on the machine"
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"no benchmark {', '.join(unknown)}. There are: {', '.join(names)}")

    from muslin.data.dataset_cache import obtain

    # the peers read the data that muslin has verified
    os.environ["MUSLIN_DATA"] = str(obtain("fashion-mnist", log=print).path)
    failed = []
    for benchmark in BENCHMARKS:
        arguments = benchmark.quick if options.quick else benchmark.arguments
        if arguments is None or (options.names and benchmark.script not in options.names):
            continue
        print(f"\n{benchmark.question}", flush=True)
        started = time.perf_counter()
        try:
            run_benchmark(benchmark, arguments, options.note)
        except (subprocess.CalledProcessError, OSError) as error:
            failed.append(benchmark.script)
            print(f"failed: {error}", file=sys.stderr)
        print(f"{benchmark.script}: {time.perf_counter() - started:.0f} s", flush=True)
    subprocess.run([sys.executable, HERE / "tables.py"], check=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}. The reasons are above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
