"""LitServe with batches of at most 64 images that wait at most 2 ms."""

import sys

import litserve
import numpy as np
from model import Model


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.model = Model()

    def decode_request(self, request):
        return self.model.pixels(request["image"].file)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, batch):
        return self.model.predict(batch)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=64, batch_timeout=0.002), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)
