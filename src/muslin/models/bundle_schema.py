"""The schemas of the JSON in a `.muslin` file, which docs/reference/bundle.md describes."""

from muslin.models.json_schema import COUNT, SHARE, AnyOf, Array, Number, Object

MAX_LAYERS = 10_000

MANIFEST = {
    "targets": [{"name": str, "classes": [str], "kind": str}],
    "preprocessing": {"height": int, "width": int, "channels": int, "transform": str},
    "thresholds": {str: [float]},
}
"""The manifest's keys besides the container's."""

_SHAPE = Array(COUNT, 1, 4)
_NUMBER = Number(-1e9, 1e9)

_LAYER = {
    "name": str,
    "kind": str,
    "input": _SHAPE,
    "output": _SHAPE,
    "parameters": COUNT,
    "multiply_adds": COUNT,
    "block": COUNT,
    "filters": COUNT,
    "kernel_size": COUNT,
    "stride": COUNT,
    "padding": AnyOf((str, COUNT)),
    "rate": SHARE,
    "bias": bool,
    "output_scale": _NUMBER,
    "mean": _NUMBER,
    "std": _NUMBER,
    "source": str,
    "learn_scale": bool,
    "epsilon": SHARE,
    "momentum": SHARE,
}

NETWORK = Object(
    {
        "name": str,
        "input": _SHAPE,
        "tta_flip": bool,
        "parameters": COUNT,
        "multiply_adds": COUNT,
        "layers": Array(Object(_LAYER), 0, MAX_LAYERS),
    }
)

_METRIC = {"accuracy": SHARE, "f1": SHARE, "interval": Array(SHARE, 2, 2), "n": COUNT}

_DIFFERENCE = Number(-1, 1)

PROVENANCE = Object(
    {
        "name": str,
        "recipe": AnyOf((str, Object({"name": str, "method": str}))),
        "seed": COUNT,
        "command": str,
        "started": str,
        "train_s": Number(0, 1e9),
        "data": Object({"name": str, "format": str, "origin": str, "fingerprint": str, "split": str}),
        "machine": Object({"processor": str, "cores": COUNT, "memory_gb": Number(0, 1e9), "system": str}),
        "versions": {str: str},
        "int8": Object(
            {
                "speedup": Number(0, 1e9),
                "targets": {str: Object({"n": COUNT, "difference": _DIFFERENCE, "interval": Array(_DIFFERENCE, 2, 2)})},
            }
        ),
        "test": {str: Object(_METRIC | {"products": Object(_METRIC)})},
    }
)
