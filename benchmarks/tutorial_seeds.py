"""How much does the accuracy of the article's network vary with the seed and the number of epochs?

    python benchmarks/tutorial_seeds.py [SETTING=VALUE ...] [--seeds 0,1] [--note SENTENCE]

Trains the recipe `tutorial` on Fashion-MNIST once per seed, and evaluates it after every epoch on all 12,000 validation
and all 10,000 test images, which choose nothing. `keras_tutorial.py article --accuracy` does the same with Keras. Keeps
every epoch's metrics in benchmarks/results/.
"""

import argparse
import json
from typing import Any

from results_file import parse_training_arguments, start_result, write_result


def trained(changes: dict[str, str], seed: int) -> list[dict[str, Any]]:
    """Each epoch's training loss and accuracy, and its validation and test metrics."""
    from muslin.data import read
    from muslin.data.split import split
    from muslin.learn.losses import evaluate_network
    from muslin.learn.modules import Net
    from muslin.learn.recipes import SGDRecipe, recipe
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import network_for, training_arrays
    from muslin.learn.training_loop import Progress, TrainingControl, fit

    chosen = recipe("tutorial", **changes)
    assert isinstance(chosen, SGDRecipe)
    dataset = read("fashion-mnist")
    parts = split(
        dataset,
        validation_fraction=chosen.validation_fraction,
        seed=seed if chosen.split_seed is None else chosen.split_seed,
        stratified=chosen.stratified,
    )
    net = Net(network_for(dataset, parts, chosen), seed)
    train, validation, test = (training_arrays(dataset, part) for part in (parts.train, parts.validation, parts.test))
    epochs = []

    def on_progress(progress: Progress) -> None:
        if progress.row:
            metrics = {name: progress.row[name] for name in ("epoch", "train_loss", "train_accuracy")}
            for name, part in (("validation", validation), ("test", test)):
                metrics[f"{name}_loss"], metrics[f"{name}_accuracy"] = evaluate_network(net, *part)
            epochs.append({name: round(value, 4) for name, value in metrics.items()})
            print(json.dumps(epochs[-1]), flush=True)

    nothing = training_arrays(dataset, parts.validation[:0])
    control = TrainingControl(on_progress=on_progress)
    fit(net, train, nothing, chosen, seed=seed, compute=choose_compute_settings(), control=control)
    return epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments, changes, seeds = parse_training_arguments(parser)
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    runs = [{"seed": seed, "epochs": trained(changes, seed)} for seed in seeds]
    write_result(head, {"settings": changes, "runs": runs})


if __name__ == "__main__":
    main()
