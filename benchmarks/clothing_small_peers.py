"""What other libraries make of the photos that `clothing_small.py` gives them; run by it, in an environment of theirs.

    python benchmarks/clothing_small_peers.py pixels|hog|keras PHOTOS.npz SEED

PHOTOS.npz holds uint8 `train`, `validation`, `test` (count, 64, 64, 3) and int64 `train_labels` and so on. Prints JSON:
seconds, and how many of the validation and of the test photos it classified correctly.
"""

# /// script
# dependencies = ["numpy", "scikit-learn>=1.6", "scikit-image>=0.25", "tensorflow==2.21.0", "keras==3.15.1"]
# ///

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Asked = Callable[[np.ndarray], np.ndarray]
"""From images to the classes' indices."""


def regression_on(described: Asked, train: np.ndarray, labels: np.ndarray) -> Asked:
    """Logistic regression, its strength of regularisation chosen by cross-validation on the training photos."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        {"logisticregression__C": [1e-4, 1e-3, 1e-2]},
        cv=3,
    )
    search.fit(described(train), labels)
    return lambda images: search.predict(described(images))


def pixels(train: np.ndarray, labels: np.ndarray, seed: int) -> Asked:
    """Every other pixel's mean with its neighbours: 32×32 px in colour, 3,072 numbers."""

    def described(images: np.ndarray) -> np.ndarray:
        views = images.reshape(len(images), 32, 2, 32, 2, 3).mean(axis=(2, 4))
        return views.reshape(len(images), -1) / 255

    return regression_on(described, train, labels)


def hog(train: np.ndarray, labels: np.ndarray, seed: int) -> Asked:
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of the 64×64 px: 1,764 numbers."""
    from skimage.feature import hog as histograms

    def described(images: np.ndarray) -> np.ndarray:
        cells: dict[str, Any] = {"pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "channel_axis": -1}
        return np.stack([histograms(image, **cells) for image in images])

    return regression_on(described, train, labels)


def keras(train: np.ndarray, labels: np.ndarray, seed: int) -> Asked:
    """Four convolutions with batch norm, 32 to 256 filters, mirrored and moved photos, Adam, 40 epochs."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    net = keras.Sequential([layers.Input((64, 64, 3)), layers.Rescaling(1 / 255)])
    net.add(layers.RandomFlip("horizontal"))
    net.add(layers.RandomTranslation(0.1, 0.1))
    for filters in (32, 64, 128, 256):
        net.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        net.add(layers.BatchNormalization())
        net.add(layers.ReLU())
        net.add(layers.MaxPooling2D())
    net.add(layers.GlobalAveragePooling2D())
    net.add(layers.Dropout(0.3))
    net.add(layers.Dense(int(labels.max()) + 1, activation="softmax"))
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(train, labels, batch_size=64, epochs=40, verbose=0)
    return lambda images: net.predict(images, verbose=0).argmax(axis=1)


def main() -> None:
    name, path, seed = sys.argv[1:]
    photos = np.load(path)
    started, used = time.perf_counter(), time.process_time()
    predict = {"pixels": pixels, "hog": hog, "keras": keras}[name](photos["train"], photos["train_labels"], int(seed))
    row: dict[str, Any] = {
        "train_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(time.process_time() - used, 1),
    }
    for part in ("validation", "test"):
        row[f"{part}_correct"] = int((predict(photos[part]) == photos[f"{part}_labels"]).sum())
        row[f"{part}_n"] = len(photos[part])
    print(json.dumps(row))


if __name__ == "__main__":
    main()
