"""A model of MLServer, with its adaptive batches of at most 64 images that wait at most 2 ms."""

import base64
import io

import numpy as np
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse
from model import Model


class Classifier(MLModel):
    async def load(self):
        self.model = Model()
        return True

    async def predict(self, payload):
        files = [base64.b64decode(text) for text in StringCodec.decode_input(payload.inputs[0])]
        results = self.model.predict(np.stack([self.model.pixels(io.BytesIO(file)) for file in files]))
        labels = StringCodec.encode_output("label", [each["label"] for each in results])
        return InferenceResponse(model_name=self.name, outputs=[labels])
