"""Train a small classifier on drawn garments, then use the sealed file as a program would: from Python, without torch.

python examples/predict.py                       # draws its own data; some seconds
python examples/predict.py MODEL IMAGE...        # your own .muslin file or run, and images or folders
"""

import sys
import tempfile
from pathlib import Path

import muslin
from muslin.data.synthetic import make_garments


def main(arguments: list[str]) -> None:
    if arguments:
        show(muslin.open(arguments[0]), arguments[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        run = muslin.train(
            make_garments(600, seed=1).dataset, settings={"epochs": 8, "batch_size": 64}, out=f"{folder}/run"
        )
        damaged = Path(folder, "damaged.png")
        damaged.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
        fresh = make_garments(5, seed=2).dataset
        show(muslin.open(run.model), [*fresh.images, damaged])


def show(model: muslin.Predictor, pictures: list[object]) -> None:
    # one Prediction per image, in order: an image that cannot be read has a problem instead of answers
    for prediction in model.predict(pictures):
        if prediction.error:
            print(prediction.error)
            continue
        for target, answer in prediction.predictions.items():
            print(f"{prediction.image}: {target} {answer.label} ({answer.probability:.0%})", end="")
            print(
                f", else {answer.runner_up} ({answer.runner_up_probability:.0%})" if answer.runner_up else ""
            )


if __name__ == "__main__":
    main(sys.argv[1:])
