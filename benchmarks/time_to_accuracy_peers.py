"""How other libraries train on Fashion-MNIST; run by `time_to_accuracy.py`, each in an environment of its own.

    python benchmarks/time_to_accuracy_peers.py METHOD DATA EPOCHS SEED

METHOD is keras, jax, torch, forest, pixels or hog. Prints a line of JSON after each epoch, or at the end: seconds of
training so far by the clock and of the processor, and the accuracy on the 10,000 test images, whose evaluation does not
count. keras, jax and torch are the article's network as people write it; the others are scikit-learn's.
"""

# /// script
# dependencies = ["numpy", "scikit-learn>=1.6", "scikit-image>=0.25", "keras==3.15.1", "tensorflow==2.21.0", "jax",
#   "torch"]
# ///

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""uint8 training images (count, 28, 28) and labels, test images and labels."""

ARTICLE_IMAGES = 48_000
"""The article's network trains on four fifths of the training set."""


class Clock:
    """Seconds of training, by the clock and of the processor. `stopped` leaves an evaluation out."""

    def __init__(self) -> None:
        self.wall, self.processor = -time.perf_counter(), -time.process_time()

    def report(self, epoch: int, evaluate: Callable[[], float]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        row: dict[str, Any] = {"epoch": epoch, "train_s": self.wall + wall, "train_cpu_s": self.processor + processor}
        print(json.dumps(row | {"test_accuracy": evaluate()}), flush=True)
        self.wall -= time.perf_counter() - wall
        self.processor -= time.process_time() - processor


def read_data(folder: str) -> Data:
    """Fashion-MNIST's IDX files, plain or gzipped."""
    import gzip

    def read_idx(name: str) -> np.ndarray:
        packed = Path(folder) / f"{name}.gz"
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else (Path(folder) / name).read_bytes()
        shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)

    train, test = (
        (read_idx(f"{part}-images-idx3-ubyte"), read_idx(f"{part}-labels-idx1-ubyte")) for part in ("train", "t10k")
    )
    return (*train, *test)


def train_keras(data: Data, epochs: int, seed: int) -> None:
    """The article's code: 48,000 images, batches of 512, Adam."""
    import keras
    from keras_tutorial import BATCH_SIZE, compiled, scaled, tutorial_network

    images, labels, test_images, test_labels = data
    train, test = scaled(images[:ARTICLE_IMAGES]), scaled(test_images)
    keras.utils.set_random_seed(seed)
    network = compiled(tutorial_network(dropout=0.25))

    class Report(keras.callbacks.Callback):
        def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
            self.clock = Clock()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.clock.report(epoch + 1, self.evaluate)

        def evaluate(self) -> float:
            predicted = self.model.predict(test, batch_size=BATCH_SIZE, verbose=0).argmax(1)
            return float((predicted == test_labels).mean())

    network.fit(train, labels[:ARTICLE_IMAGES], batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[Report()])


def train_torch(data: Data, epochs: int, seed: int) -> None:
    """The article's network as PyTorch's own quickstart trains: a DataLoader with batches of 64, a loop, Adam."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    images, labels, test_images, test_labels = data

    def tensors(pixels: np.ndarray, classes: np.ndarray) -> TensorDataset:
        return TensorDataset(torch.tensor(pixels).unsqueeze(1).float() / 255, torch.tensor(classes).long())

    train = DataLoader(tensors(images[:ARTICLE_IMAGES], labels[:ARTICLE_IMAGES]), batch_size=64, shuffle=True)
    test = DataLoader(tensors(test_images, test_labels), batch_size=64)
    model = nn.Sequential(
        *(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(64, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()

    def evaluate() -> float:
        model.eval()
        with torch.no_grad():
            correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in test)
        return correct / len(test_labels)

    clock = Clock()
    for epoch in range(epochs):
        model.train()
        for x, y in train:
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.report(epoch + 1, evaluate)


def fit_scikit_learn(model: Any, describe: Callable[[np.ndarray], np.ndarray], data: Data) -> None:
    """Fit `model` to what `describe` makes of the images; describing the training images is training."""
    images, labels, test_images, test_labels = data
    clock = Clock()
    model.fit(describe(images), labels)
    clock.report(1, lambda: float((model.predict(describe(test_images)) == test_labels).mean()))


def flat(images: np.ndarray) -> np.ndarray:
    """The pixels of each image, from 0 to 1."""
    return images.reshape(len(images), -1) / np.float32(255)


def histograms(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): 7×7 cells of 4 px, blocks of 2×2."""
    from skimage.feature import hog

    return np.stack([hog(image, pixels_per_cell=(4, 4), cells_per_block=(2, 2)) for image in images]).astype(np.float32)


def train_forest(data: Data, epochs: int, seed: int) -> None:
    from sklearn.ensemble import RandomForestClassifier

    fit_scikit_learn(RandomForestClassifier(n_jobs=-1, random_state=seed), flat, data)


def train_pixels(data: Data, epochs: int, seed: int) -> None:
    from sklearn.svm import SVC

    fit_scikit_learn(SVC(C=10), flat, data)


def train_hog(data: Data, epochs: int, seed: int) -> None:
    from sklearn.svm import LinearSVC

    fit_scikit_learn(LinearSVC(C=0.1, random_state=seed), histograms, data)


METHODS: dict[str, Callable[[Data, int, int], None]] = {
    "keras": train_keras,
    "jax": train_keras,
    "torch": train_torch,
    "forest": train_forest,
    "pixels": train_pixels,
    "hog": train_hog,
}


def main() -> None:
    method, folder, epochs, seed = sys.argv[1:]
    os.environ["KERAS_BACKEND"] = "jax" if method == "jax" else "tensorflow"
    METHODS[method](read_data(folder), int(epochs), int(seed))


if __name__ == "__main__":
    main()
