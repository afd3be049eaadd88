"""Kill a command at random moments, again and again, until it ends."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fork_server import Ended, ForkServer
from victims import Victim

MAX_KILLS = 4
"""Of one command, before it may end."""

LOOK_EVERY_S = 0.002


@dataclass(frozen=True)
class Undisturbed:
    """A command that nobody killed: what came of it, how long it took, and how often its folders changed."""

    outcome: Any
    seconds: float
    changes: int


def run_undisturbed(server: ForkServer, victim: Victim, folder: Path) -> Undisturbed:
    folder.mkdir()
    start = time.monotonic()
    running = server.start(victim.job(folder))
    changes = sum(1 for _ in _changes(victim, folder, lambda: running.poll() is None))
    seconds = time.monotonic() - start
    ended = running.wait()
    assert ended.code == 0, ended
    victim.check(folder)
    return Undisturbed(victim.outcome(folder), seconds, changes)


def kill_until_it_ends(
    server: ForkServer, victim: Victim, folder: Path, random: Random, undisturbed: Undisturbed, max_kills: int
) -> int:
    """The number of kills; at the end everything is as if there had been none."""
    folder.mkdir()
    kills = 0
    while kills < min(max_kills, MAX_KILLS):
        ended = _kill_at_random(server, victim, folder, random, undisturbed)
        victim.check(folder)
        if not ended.was_killed:
            assert ended.code == 0, ended
            break
        kills += 1
    ended = server.run(victim.job(folder))
    assert ended.code == 0, ended
    victim.check(folder)
    assert victim.outcome(folder) == undisturbed.outcome
    assert not list(folder.rglob(".*.part")), "temporary files stayed"
    return kills


def _kill_at_random(
    server: ForkServer, victim: Victim, folder: Path, random: Random, undisturbed: Undisturbed
) -> Ended:
    """Kill it at a moment between its start and its end, or just after one of the changes that it makes to files:
    files are written in a small part of the time."""
    change = random.randint(1, undisturbed.changes) if random.random() < 0.6 else 0
    wait_s = random.uniform(0, 0.01 if change else undisturbed.seconds)
    running = server.start(victim.job(folder))
    start = time.monotonic()
    if change:
        for number, _ in enumerate(_changes(victim, folder, lambda: running.poll() is None), 1):
            if number == change:
                break
        start = time.monotonic()
    while time.monotonic() - start < wait_s and not running.poll():
        time.sleep(min(LOOK_EVERY_S, wait_s))
    return running.kill()


def _changes(victim: Victim, folder: Path, is_going_on: Callable[[], bool]) -> Iterator[None]:
    """One item whenever files in the watched folders came, went or grew, as long as the command runs."""
    before = _listing(victim, folder)
    while is_going_on():
        now = _listing(victim, folder)
        if now != before:
            before = now
            yield
        time.sleep(LOOK_EVERY_S)


def _listing(victim: Victim, folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for watched in victim.watched:
        for place, _, names in os.walk(folder / watched):
            for name in names:
                try:
                    status = os.stat(os.path.join(place, name))
                except FileNotFoundError:
                    continue
                found.append((name, status.st_size, status.st_ino))
    return found
