"""A model as one serves it by hand with ONNX Runtime: a file's pixels as the model was trained on them, and the class
of the highest score.

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
        image = ImageOps.exif_transpose(file if isinstance(file, Image.Image) else Image.open(file))
        mode = "L" if self.channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
        return self.fitted(image).reshape(self.height, self.width, self.channels)

    def fitted(self, image):
        """The whole image, scaled and centred on the colour of its edge, as muslin's transform `fit` does."""
        if image.size == (self.width, self.height):
            return np.asarray(image, np.uint8)
        scale = min(self.width / image.width, self.height / image.height)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        scaled = np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.uint8)
        pixels = np.asarray(image, np.uint8)
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        canvas = np.empty((self.height, self.width, *pixels.shape[2:]), np.uint8)
        canvas[:] = np.median(edges, axis=0).round().astype(np.uint8)
        top, left = (self.height - size[1]) // 2, (self.width - size[0]) // 2
        canvas[top : top + size[1], left : left + size[0]] = scaled
        return canvas

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
