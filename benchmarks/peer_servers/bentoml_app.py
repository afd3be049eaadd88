"""BentoML with its adaptive batches, of at most 64 images."""

import bentoml
import numpy as np
from model import Model
from PIL.Image import Image


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 1000})
class Classifier:
    def __init__(self):
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def predict(self, image: list[Image]) -> list[dict]:
        return self.model.predict(np.stack([self.model.pixels(each) for each in image]))
