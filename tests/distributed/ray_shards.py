"""Runs `run_shards.py` on the desk of a cluster, and disturbs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import Cluster

Lines = list[dict[str, Any]]
PROGRAM = Path(__file__).with_name("run_shards.py")


def run_shards(
    cluster: Cluster,
    *tasks: str,
    count: int = 8,
    wait_s: float = 0,
    kilobytes: int = 1,
    after: int = 0,
    then: Callable[[], object] | None = None,
    python: Path | None = None,
    **environment: str,
) -> Lines:
    """The lines that it prints; `then` is called once `after` of them are there. Ray prints nothing."""
    lines: Lines = []
    command = [python or sys.executable, PROGRAM, cluster.address, count, wait_s, kilobytes, *tasks]
    variables = cluster.environment(cluster.desk) | environment
    with cluster.popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            lines.append(json.loads(line))
            if then and len(lines) == after:
                then()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    return lines


def numbers(lines: Lines) -> list[int]:
    """The shards whose results came, in the order in which they came."""
    return [line["params"]["n"] for line in lines if "n" in line.get("params", {})]
