"""No connection goes to an address that is not public, whatever a table, a server or a name service says."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from hostile_addresses import PRIVATE_V4, PRIVATE_V6, PUBLIC, Hostile, hostile_addresses

from muslin.errors import FetchError
from muslin.fetching.address import Address, parse_address
from muslin.fetching.connection import FetchLimits
from muslin.fetching.public_addresses import IPAddress, is_public
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import photo, photo_host

CASES = 1000
LIMITS = FetchLimits(connect_s=1, idle_s=1, photo_s=2, retry_s=0.01)


def write_table(folder: Path, cases: Sequence[Hostile]) -> Path:
    path = folder / "hostile.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "image"])
        writer.writerow(["good", "http://cdn.example/good.jpg"])
        writer.writerows([i, case.address] for i, case in enumerate(cases))
    return path


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6], ids=str)
def test_address_that_is_not_public_is_known(address: IPAddress) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [*map(str, PUBLIC), "1.1.1.1", "172.32.0.1", "2a00:1450::1", "223.255.255.254"])
def test_public_address_is_known(address: str) -> None:
    assert is_public(ip_address(address))


def test_cases_are_not_stopped_by_one_check_alone() -> None:
    """Otherwise the other checks would not be tried."""
    cases = hostile_addresses(CASES)
    parsed = 0
    for case in cases:
        for text in filter(None, (case.address, case.location)):
            try:
                parsed += isinstance(parse_address(text), Address)
            except FetchError:
                continue
    assert parsed > CASES
    assert sum(bool(case.location) for case in cases) > CASES / 4
    assert sum(len(case.answers) > 1 for case in cases) > CASES / 4


def test_hostile_addresses_are_never_connected_to(tmp_path: Path) -> None:
    cases = hostile_addresses(CASES)
    left = {case.host: list(case.answers) for case in cases if case.host}
    lock = Lock()

    class Hosts(dict[str, Sequence[IPAddress]]):
        def get(self, host: str, default: Any = None) -> Any:
            with lock:
                answers = left.get(host) or [PUBLIC if host == "cdn.example" else PRIVATE_V4[:1]]
                return answers.pop(0) if len(answers) > 1 else answers[0]

    answers: dict[str, Any] = {"/good.jpg": photo(1)}
    for i, case in enumerate(cases):
        location = case.location.encode("utf-8").decode("latin-1").translate({10: None, 9: " "})
        answers[f"/{i}.jpg"] = (302, {"Location": location}, b"") if location else photo(2)
    with photo_host(answers) as host:
        host.hosts = Hosts()
        plan = plan_fetch(write_table(tmp_path, cases), tmp_path / "shop", FetchOptions(rate=1000))
        result = fetch(plan, all_sites(plan.hosts, cases), network=host.network, limits=LIMITS)
    assert len({address for address, _ in host.connected}) == 2, "both public addresses"
    assert {address for address, _ in host.connected} <= set(PUBLIC)
    assert host.asked["/good.jpg"] == 1
    assert result.photos >= 1
    assert {"host_not_public", "address_host", "address_credentials", "address_not_http"} <= result.failures.keys()


def all_sites(hosts: Any, cases: Sequence[Hostile]) -> set[str]:
    """What a person who confirms everything confirms, and all to which they are redirected."""
    sites = set(hosts)
    for case in cases:
        try:
            sites.add(parse_address(case.location).site)
        except FetchError:
            continue
    return sites


IN_NAMESPACE = Path(__file__).parent / "hostile_network.py"


def test_no_packet_leaves_for_a_private_address(tmp_path: Path) -> None:
    """The system's own name service and connections, in a network of their own whose every address listens."""
    unshare = shutil.which("unshare")
    words = [str(unshare), *([] if os.geteuid() == 0 else ["--map-root-user"]), "--net", "--mount"]
    if unshare is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a network namespace")
    table = write_table(tmp_path, hostile_addresses(CASES, seed=1))
    script = [*words, sys.executable, IN_NAMESPACE, table, tmp_path / "shop", str(CASES)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent), *sys.path])
    done = subprocess.run(script, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["control"] == "10.0.0.1", "a connection to a private address would be seen"
    assert set(found["reached"]) == set(map(str, PUBLIC))
    assert set(found["connected"]) == set(map(str, PUBLIC))
    assert found["looked_up"] > CASES / 4
    assert found["photos"] >= 1
