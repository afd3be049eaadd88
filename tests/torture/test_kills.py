"""Commands that are killed at random moments: what they had finished stays, and the end is the same."""

import shutil
from pathlib import Path
from random import Random

import pytest
from fork_server import ForkServer
from kills import kill_until_it_ends, run_undisturbed
from victims import CONTINUED, Victim, commands, victim

SHORT = (
    "train sgd",
    "train linear_probe",
    "tag csv",
    "tag xlsx",
    "tag parquet",
    "tag update",
    "get",
    "review add",
    "similar build",
)


def kill(server: ForkServer, victim: Victim, folder: Path, rounds: int) -> None:
    """Kill a command so often, in new folders again and again."""
    undisturbed = run_undisturbed(server, victim, folder / "undisturbed")
    random, kills = Random(folder.name), 0
    for attempt in range(10 * rounds):
        kills += kill_until_it_ends(server, victim, folder / str(attempt), random, undisturbed, rounds - kills)
        shutil.rmtree(folder / str(attempt))
        if kills == rounds:
            return
    raise AssertionError(f"only {kills} of {rounds} kills came before the end")


@pytest.mark.parametrize("name", commands(CONTINUED, SHORT))
def test_killed_command_ends_as_an_undisturbed_one(name, server, inputs, tiny, rounds, tmp_path):
    kill(server, victim(name, inputs, tiny), tmp_path, rounds)
