"""What does a change of a recipe's settings gain on 10,000 validation images, and what does it cost?

    python benchmarks/recipe_variants.py RECIPE [SETTING=VALUE ...] [--seeds 0,1] [--note SENTENCE]

Trains on 50,000 of Fashion-MNIST's training images and evaluates on the other 10,000, always the same ones; the test
set is never used. Per seed: accuracy; `accepted_99`, the largest share of the images, the most confident first, of
which 99 % are correct; and the seconds of one core. One thread, so that these seconds can be compared on a machine
that others use too. Every trial is kept in benchmarks/results/, also those that gained nothing.
"""

import argparse
import json
import statistics
import time

import numpy as np
from results_file import max_coverage, parse_training_arguments, start_result, write_result

N_VALIDATION = 10_000
SPLIT_SEED = 12345


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    arguments, changes, seeds = parse_training_arguments(parser)
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    runs = []
    for seed in seeds:
        runs.append({"seed": seed, **train_once(arguments.recipe, changes, seed)})
        print(json.dumps(runs[-1]), flush=True)
    median = {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "seed"}
    write_result(head, {"recipe": arguments.recipe, "settings": changes, "runs": runs, "median": median})


def train_once(name: str, changes: dict[str, str], seed: int) -> dict[str, float]:
    """Train on the 50,000 and evaluate on the 10,000."""
    from muslin.data import read
    from muslin.data.dataset import Split
    from muslin.learn.recipes import SGDRecipe, recipe
    from muslin.learn.torch_setup import ComputeSettings, keep_memory
    from muslin.learn.train import initial_network, predict_images, training_arrays
    from muslin.learn.training_loop import fit

    chosen = recipe(name, **changes)
    assert isinstance(chosen, SGDRecipe)
    train = read("fashion-mnist").part("train")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(train))
    split = Split(
        train=order[N_VALIDATION:], validation=order[:N_VALIDATION], test=order[:0], notes=("10,000 at random",)
    )
    compute = ComputeSettings(threads=1, precision="float32", memory_reused=keep_memory())
    started = time.process_time()
    net = initial_network(train, split, chosen, seed=seed)
    arrays = training_arrays(train, split.train), training_arrays(train, split.validation[:0])
    history = fit(net, *arrays, chosen, seed=seed, compute=compute)
    processor_s = time.process_time() - started
    images, labels = training_arrays(train, split.validation)
    probabilities = predict_images(net, images)["label"]
    correct = probabilities.argmax(1) == labels["label"]
    return {
        "accuracy": float(correct.mean()),
        "train_accuracy": history[-1]["train_accuracy"],
        "accepted_99": max_coverage(probabilities.max(1), correct, 0.99),
        "processor_s": round(processor_s, 1),
    }


if __name__ == "__main__":
    main()
