"""The Open Inference Protocol v2 over HTTP, with its extensions for binary data and classification.

Read from `routes.OpenInference.infer` down: `inference_request` reads a request, `tensors` its values and those of a
response, `outputs` makes the outputs of a model from its predictions, and `metadata` describes them.
"""
