"""Train an image classifier on your product photos, on an ordinary computer, and know when to trust it.

    import muslin

    run = muslin.train("fashion-mnist")            # a folder with the model and a report
    model = muslin.open(run.model)
    model.predict(["shirt.png", "boots.jpg"])

Every error raised on purpose is a `MuslinError`. Names are imported when first used, so `import muslin` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muslin.client import AsyncClient, Client
    from muslin.data import read
    from muslin.data.convert import convert
    from muslin.data.dataset import Dataset, Split, Target
    from muslin.errors import MuslinError
    from muslin.evaluation import Evaluation
    from muslin.models.prediction import Prediction
    from muslin.models.predictor import Predictor
    from muslin.sklearn import ImageClassifier
    from muslin.storage.outputs import Output
    from muslin.workflows.audit import audit
    from muslin.workflows.evaluate import EvaluateOptions, evaluate
    from muslin.workflows.run_folder import Run
    from muslin.workflows.train import resume, train

    open = Predictor.open

_HOMES = {
    "AsyncClient": "muslin.client",
    "Client": "muslin.client",
    "Dataset": "muslin.data.dataset",
    "EvaluateOptions": "muslin.workflows.evaluate",
    "Evaluation": "muslin.evaluation",
    "ImageClassifier": "muslin.sklearn",
    "MuslinError": "muslin.errors",
    "Output": "muslin.storage.outputs",
    "Prediction": "muslin.models.prediction",
    "Predictor": "muslin.models.predictor",
    "Run": "muslin.workflows.run_folder",
    "Split": "muslin.data.dataset",
    "Target": "muslin.data.dataset",
    "audit": "muslin.workflows.audit",
    "convert": "muslin.data.convert",
    "evaluate": "muslin.workflows.evaluate",
    "open": "muslin.models.predictor",
    "read": "muslin.data",
    "resume": "muslin.workflows.train",
    "train": "muslin.workflows.train",
}

__version__ = "0.1.0"

__all__ = [
    "AsyncClient", "Client", "Dataset", "EvaluateOptions", "Evaluation", "ImageClassifier", "MuslinError", "Output",
    "Prediction", "Predictor", "Run", "Split", "Target", "audit", "convert", "evaluate", "open", "read", "resume",
    "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'muslin' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    return home.Predictor.open if name == "open" else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
