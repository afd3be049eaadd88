"""From a fashion catalogue's files to an image classifier you have looked through and can trust.

    import muslin

    run = muslin.train("fashion-mnist")            # a folder with the model and a report
    model = muslin.open(run.model)
    model.predict(["shirt.png", "boots.jpg"])

Every error raised on purpose is a `MuslinError`. Names are imported when first used, so `import muslin` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muslin.auditing import audit
    from muslin.classifier import ImageClassifier
    from muslin.data import read
    from muslin.data.convert import convert
    from muslin.data.dataset import Dataset, Split, Target
    from muslin.errors import MuslinError
    from muslin.evaluation import Evaluation
    from muslin.flow import evaluate, resume, train
    from muslin.learn.run import Run
    from muslin.predictor import Prediction, Predictor

    open = Predictor.open

_HOMES = {
    "Dataset": "muslin.data.dataset",
    "Evaluation": "muslin.evaluation",
    "ImageClassifier": "muslin.classifier",
    "MuslinError": "muslin.errors",
    "Prediction": "muslin.predictor",
    "Predictor": "muslin.predictor",
    "Run": "muslin.learn.run",
    "Split": "muslin.data.dataset",
    "Target": "muslin.data.dataset",
    "audit": "muslin.auditing",
    "convert": "muslin.data.convert",
    "evaluate": "muslin.flow",
    "open": "muslin.predictor",
    "read": "muslin.data",
    "resume": "muslin.flow",
    "train": "muslin.flow",
}

__all__ = [
    "Dataset",
    "Evaluation",
    "ImageClassifier",
    "MuslinError",
    "Prediction",
    "Predictor",
    "Run",
    "Split",
    "Target",
    "audit",
    "convert",
    "evaluate",
    "open",
    "read",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("muslin")
    if name not in _HOMES:
        raise AttributeError(f"module 'muslin' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    return home.Predictor.open if name == "open" else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
