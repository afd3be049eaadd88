"""A model as one serves it with ONNX Runtime: a file's pixels as Pillow reads them, and the class of the highest score.

The folder in the environment variable MODEL_FOLDER has `model.onnx` and `classes.json`.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


class Model:
    def __init__(self):
        folder = Path(os.environ["MODEL_FOLDER"])
        self.classes = json.loads((folder / "classes.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("MODEL_THREADS", "1"))
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        _, self.height, self.width, self.channels = self.session.get_inputs()[0].shape

    def pixels(self, file):
        """uint8 (height, width, channels) of an image's file, or of Pillow's image."""
        image = file if isinstance(file, Image.Image) else Image.open(file)
        image = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != (self.width, self.height):  # with the filter of muslin's `fit`, for the same predictions
            image = ImageOps.pad(image, (self.width, self.height), Image.Resampling.LANCZOS)
        return np.asarray(image, np.uint8).reshape(self.height, self.width, self.channels)

    def predict(self, batch):
        """The results for uint8 (n, height, width, channels)."""
        (probabilities,) = self.session.run(["label"], {"pixels": batch})
        return [
            {
                "label": self.classes[int(row.argmax())],
                "probabilities": dict(zip(self.classes, row.tolist(), strict=True)),
            }
            for row in probabilities
        ]
