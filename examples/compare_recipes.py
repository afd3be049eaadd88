"""Two recipes on the same images with the same number of epochs: is one better, and is it more than chance?

python examples/compare_recipes.py
"""

import tempfile

import muslin
from muslin.data.synthetic import make_garments

garments = make_garments(600, seed=1).dataset

# Undivided data are divided by the recipe's own rule: the same for both, or they are judged on different images.
same_for_both = {"epochs": 5, "batch_size": 48, "split_seed": 0, "stratified": True}

with tempfile.TemporaryDirectory() as folder:
    for recipe in ("tutorial", "quick"):
        run = muslin.train(garments, recipe=recipe, settings=same_for_both, out=f"{folder}/{recipe}")
        test = run.record["test"]
        low, high = test["interval"]
        print(
            f"{recipe:<9} {test['accuracy']:.1%} of {test['n']} right (95 % interval {low:.1%} to {high:.1%}), "
            f"{run.record['parameters']:,} parameters, trained in {run.record['train_s']:.1f} s"
        )

print("Where the intervals overlap by much, these few images do not tell which is better.")
