"""Two recipes on the same images and with equal epochs: is one better, and by more than chance?

python examples/compare_recipes.py
"""

import tempfile

import muslin
from muslin.data.synthetic import make_garments

garments = make_garments(600, seed=1).dataset

# The recipe decides how data are split. Both use one rule here, so that both are evaluated on the same images.
shared_settings = {"epochs": 5, "batch_size": 48, "split_seed": 0, "stratified": True}

with tempfile.TemporaryDirectory() as folder:
    for recipe in ("tutorial", "quick"):
        run = muslin.train(garments, recipe=recipe, settings=shared_settings, out=f"{folder}/{recipe}")
        test = run.record["test"]["label"]
        low, high = test["interval"]
        print(
            f"{recipe:<9} {test['accuracy']:.1%} of {test['n']} correct (95 % interval {low:.1%} to {high:.1%}), "
            f"{run.record['parameters']:,} parameters, trained in {run.record['train_s']:.1f} s"
        )

print("If the intervals overlap much, these images are too few to tell which recipe is better.")
