"""Would fine-tuning over several machines of two cores be quicker, if each took a part of every batch?

    python benchmarks/data_parallel.py [--steps N] [--networks efficientnet-lite0 …] [--note SENTENCE]

Measures the processor time of a training step of the recipe photo-tuned at its batch, at a half and at a quarter of it,
and counts the bytes of the gradients. What a network of 1 Gbit/s adds to a step is arithmetic: 941 Mbit/s of payload,
no latency, nothing overlapped. `ordered`: every machine's gradients go to the head, which adds them in a fixed order,
so that the weights are those of one machine, and sends the sum back. `ring`: a ring all-reduce (Patarasuk and Yuan,
Bandwidth optimal all-reduce algorithms, 2009), which adds in another order. A step by the clock is taken to be half of
its processor time, as if both cores were always busy.
"""

import argparse
import time
from typing import Any

import numpy as np
from results_file import start_result, write_result

BYTES_PER_S = 941e6 / 8
MACHINES = (2, 4)
NETWORKS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
WARMUP = 2


def measure(network: str, batch_size: int, steps: int) -> dict[str, float]:
    """Processor seconds of a step, the median; and the number of trained parameters."""
    from muslin.data.dataset import Split
    from muslin.data.synthetic import make_garments
    from muslin.learn.recipes import recipe
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import initial_network, training_arrays
    from muslin.learn.training_loop import TrainingControl, fit

    settings = {"network": network, "weights": "random", "batch_size": batch_size, "max_steps": steps + WARMUP}
    chosen = recipe("photo-tuned", **settings)
    dataset = make_garments(batch_size * (steps + WARMUP), seed=0, size_px=chosen.image_size, colour=True).dataset
    everything, nothing = np.arange(len(dataset)), np.arange(0)
    net = initial_network(dataset, Split(everything, nothing, nothing), chosen, seed=0)
    moments: list[float] = []

    def should_stop() -> bool:
        moments.append(time.process_time())
        return False

    arrays = training_arrays(dataset, everything), training_arrays(dataset, nothing)
    control = TrainingControl(should_stop=should_stop)
    fit(net, *arrays, chosen, seed=0, compute=choose_compute_settings(), control=control)  # type: ignore[arg-type]
    trained = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    return {"processor_s": float(np.median(np.diff(moments[WARMUP - 1 :]))), "trained": trained}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    head = start_result("does data parallelism pay on machines of two cores?", arguments.note)
    rows: list[dict[str, Any]] = []
    for network in arguments.networks:
        batch = 32
        whole = measure(network, batch, arguments.steps)
        megabytes = 4 * whole["trained"] / 1e6
        row: dict[str, Any] = {"network": network, "batch": batch, "gradient_mb": megabytes, **whole, "machines": {}}
        for machines in MACHINES:
            part_s = measure(network, batch // machines, arguments.steps)["processor_s"] / 2
            ordered_s = 2 * (machines - 1) * 1e6 * megabytes / BYTES_PER_S
            ring_s = 2 * (machines - 1) / machines * 1e6 * megabytes / BYTES_PER_S
            row["machines"][machines] = {
                "part_s": part_s,
                "ordered_s": ordered_s,
                "ring_s": ring_s,
                "ordered_speedup": whole["processor_s"] / 2 / (part_s + ordered_s),
                "ring_speedup": whole["processor_s"] / 2 / (part_s + ring_s),
            }
        rows.append(row)
        print(row, flush=True)
    write_result(head, {"rows": rows})


if __name__ == "__main__":
    main()
