"""A shop whose products are patterns of colours, each in several photos, and a model that gives features of photos."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from muslin.models.bundle import Bundle, seal
from muslin.models.graph_outputs import FEATURES
from small_models import small_bundle

CELLS, SIDE = 6, 24
"""A pattern has CELLS × CELLS colours, a photo SIDE × SIDE pixels."""


def pattern(seed: int) -> NDArray[np.uint8]:
    """A photo of a product."""
    colours = np.random.default_rng(seed).integers(40, 216, (CELLS, CELLS, 3))
    return colours.repeat(SIDE // CELLS, axis=0).repeat(SIDE // CELLS, axis=1).astype(np.uint8)


def view(pixels: NDArray[np.uint8], seed: int, noise: float = 12.0) -> NDArray[np.uint8]:
    """Another photo of the same: brighter or darker, with noise."""
    random = np.random.default_rng([seed, 1])
    changed = pixels + random.normal(0, noise, pixels.shape) + random.uniform(-15, 15)
    return changed.clip(0, 255).astype(np.uint8)


def feature_bundle() -> Bundle:
    """A model whose features are the colours of the cells, from a mean of zero."""
    plain = small_bundle(channels=3, side=SIDE)
    model = onnx.load_from_string(plain.model)
    size = SIDE // CELLS
    model.graph.node.extend([
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[size, size], strides=[size, size]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("Sub", ["flat", "middle"], [FEATURES]),
    ])  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.full((1, 1), 0.5, np.float32), "middle"))
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", 3 * CELLS**2]))
    return replace(plain, model=model.SerializeToString())


def write_photo(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def similar_shop(folder: Path, products: int = 60, views: int = 3) -> Path:
    """`model.muslin`, `products.csv` with a row for each photo, and the photos of P0, P1, …"""
    folder.mkdir(exist_ok=True)
    seal(feature_bundle(), folder / "model.muslin")
    rows = []
    for number in range(products):
        for each in range(views):
            name = f"{number}-{each}.png"
            write_photo(folder / "photos" / name, view(pattern(number), 100 * number + each))
            rows.append((f"P{number}", name))
    write_table(folder / "products.csv", rows)
    return folder


def write_table(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("sku", "image"), *rows])
