"""Far more clients than a server answers at a time: it refuses some, and stays alive."""

from pathlib import Path

from flooded_server import flooded
from server_process import gray, running_server


def test_overload_is_refused_with_a_time_to_come_again(small_model: Path) -> None:
    with running_server(str(small_model), "--max-requests", "4") as server:
        outcomes, probes = flooded(server, clients=80, seconds=2)
        assert outcomes.keys() == {"200", "503"}
        assert probes
        assert server.predict(gray(200)).status_code == 200
