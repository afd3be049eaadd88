"""Train a small classifier on synthetic garments, then predict with its file from Python, without torch.

python examples/predict.py                       # makes its own data; takes some seconds
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
        damaged_file = Path(folder, "damaged.png")
        damaged_file.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
        test_images = make_garments(5, seed=2).dataset.images
        show(muslin.open(run.model), [*test_images, damaged_file])


def show(model: muslin.Predictor, images: list[object]) -> None:
    # one Prediction per image, in order: an image that cannot be read has an error instead of predictions
    for prediction in model.predict(images):
        if prediction.error:
            print(prediction.error)
            continue
        for target, predicted in prediction.predictions.items():
            print(f"{prediction.image}: {target} {predicted.label} ({predicted.probability:.0%})", end="")
            if predicted.runner_up:
                print(f", else {predicted.runner_up} ({predicted.runner_up_probability:.0%})", end="")
            print()


if __name__ == "__main__":
    main(sys.argv[1:])
