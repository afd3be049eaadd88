"""A model for MLServer: sum, mean and maximum of each row."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Sums(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        found = np.stack([rows.sum(1), rows.mean(1), rows.max(1)], 1).astype("float32")
        output = NumpyCodec.encode_output("statistics", found)
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=[output])
