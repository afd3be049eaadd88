"""All benchmarks that need nothing but Fashion-MNIST, one after the other, and the tables in the documentation.

    scripts/bench [--quick] [NAME…] [--note SENTENCE]

One that fails is said, and the others go on. To add one, add a row to BENCHMARKS.
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
    """One script of this folder; the first line of its docstring is the question it answers.

    Attributes:
        script: its name without `.py`.
        arguments: for a result to be relied on.
        quick: for an answer within a minute or so; None where there is none so soon.
        peer: the environment of what muslin is compared with, a key of PEERS.
        alone: whether the script itself is the peer's and runs in the peer's environment.
    """

    script: str
    arguments: str
    quick: str | None
    peer: str | None = None
    alone: bool = False

    @property
    def question(self) -> str:
        return (ast.get_docstring(ast.parse((HERE / f"{self.script}.py").read_text())) or "").splitlines()[0]


BENCHMARKS = (
    Benchmark("training_step_keras", "--rounds 5", "--rounds 1 --images 6144", peer="keras"),
    Benchmark("training_step", "--rounds 5", "--rounds 1 --steps 8"),
    Benchmark("arithmetic_rate", "--rounds 5", "--rounds 1 --steps 8"),
    Benchmark("recipes", "--recipe quick --seeds 5", "--recipe quick --seeds 1"),
    Benchmark("serving", "--rounds 5", "--rounds 1 --seconds 0.5", peer="keras"),
    Benchmark("growth", "", "--quick"),
    Benchmark("int8", f"{RUN} fashion-mnist --threads 1 2", f"{RUN} fashion-mnist --rounds 1 --seconds 0.2"),
    Benchmark("read_csv", "--rounds 5", "--rounds 1"),
    Benchmark("read_index", "", "--rows 20000"),
    Benchmark("near_duplicates", "--rounds 3 --all-pairs", "--rounds 1"),
    Benchmark("label_errors", "", None),
    Benchmark("attribution", f"{RUN} fashion-mnist", None),
    Benchmark("selective", RUN, None),
    Benchmark("ood", RUN, None),
    Benchmark("tag", RUN, None),
    Benchmark("tutorial_seeds", "--seeds 0,1,2", None),
    Benchmark("keras_tutorial", "article --epochs 4", None, peer="keras", alone=True),
)
PEERS = {"keras": "keras_tutorial"}
"""By the name of an environment, `.venv-NAME`, the script whose header lists what is to be in it."""


def interpreter_of(peer: str) -> Path:
    """The interpreter of the environment of `peer`, made if it is not there; what is there and fits is kept."""
    folder = ROOT / f".venv-{peer}"
    python = folder / "bin/python"
    if not python.exists():
        print(f"making the environment {folder.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    header = re.search(r"^# /// script\n(.*?)^# ///$", (HERE / f"{PEERS[peer]}.py").read_text(), re.M | re.S)
    assert header, f"{PEERS[peer]}.py has no header that lists what it needs"
    needed = tomllib.loads(re.sub(r"^# ?", "", header[1], flags=re.M))["dependencies"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *needed], check=True)
    return python


def answer(benchmark: Benchmark, arguments: str, note: str) -> None:
    """Run it, and make first what it needs: its peer's environment, a trained model.

    Raises:
        subprocess.CalledProcessError: it, or what it needs, failed.
    """
    python = interpreter_of(benchmark.peer) if benchmark.peer else None
    if RUN in arguments and not (ROOT / RUN / "model.muslin").exists():
        words = ["train", "fashion-mnist", "--recipe", "quick", "--out", RUN]
        subprocess.run([sys.executable, "-m", "muslin", *words], check=True, cwd=ROOT)
    words = [str(HERE / f"{benchmark.script}.py"), *arguments.split()]
    command = [str(python) if python and benchmark.alone else sys.executable, *words]
    subprocess.run([*command, *(["--note", note] if note else [])], check=True, cwd=ROOT)


def main() -> int:
    names = [benchmark.script for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="about five minutes: fewer, and less of each")
    parser.add_argument(
        "--note", default="", help="kept with the results, for example who else used the machine"
    )
    wishes = parser.parse_args()
    if unknown := sorted(set(wishes.names) - set(names)):
        parser.error(f"no benchmark {', '.join(unknown)}. There are: {', '.join(names)}")

    from muslin.data.local_copies import obtain

    # where muslin found the data, verified, its peers find them too
    os.environ["MUSLIN_DATA"] = str(obtain("fashion-mnist", log=print).path)
    failed = []
    for benchmark in BENCHMARKS:
        arguments = benchmark.quick if wishes.quick else benchmark.arguments
        if arguments is None or (wishes.names and benchmark.script not in wishes.names):
            continue
        print(f"\n{benchmark.question}", flush=True)
        started = time.perf_counter()
        try:
            answer(benchmark, arguments, wishes.note)
        except (subprocess.CalledProcessError, OSError) as error:
            failed.append(benchmark.script)
            print(f"failed: {error}", file=sys.stderr)
        print(f"{benchmark.script}: {time.perf_counter() - started:.0f} s", flush=True)
    subprocess.run([sys.executable, HERE / "tables.py"], check=True)
    if failed:
        print(f"\nno answer from: {', '.join(failed)}. The reasons stand above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
