"""What is known of one request, for the metrics and the log: never its images, its token, or who sent it."""

import re
import secrets
import time
from collections.abc import Iterable, Sequence
from itertools import compress, count, repeat

from starlette.types import Scope

from muslin.data.dataset import Target
from muslin.evaluation.selective import DECISIONS, Triage
from muslin.messages import Message
from muslin.models.photo_reading import ReadImage
from muslin.models.prediction import Prediction
from muslin.models.product_prediction import ProductPrediction

STAGES = ("receive", "decode", "predict", "respond")
"""What a request's time goes to: until its body is there, until its images are pixels, until the model has run (the
metrics of batches tell how long it waited), and until the response is made."""

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
OTHER = "other"
"""For a method or path that is none of the server's: clients could invent any number of them."""

_PROCESS, _NUMBERS = secrets.token_hex(4), count()  # of the ids that this process makes

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")  # no @: an e-mail address is a person's data
_KEY = "muslin.record"


class RequestRecord:
    """One request, from its head to the end of its response.

    Attributes:
        id: as of the client's X-Request-ID, where that is at most 64 letters, digits and `._:/+=-`; or a new one.
        method: in capitals; OTHER for an unknown one.
        route: the path with the names of its variable parts, such as `/v1/models/{name}`; OTHER for an unknown path.
        status: of the response; 499 where the client was gone before it began.
        model, digest: which model predicted.
        images: how many were sent.
        error: the code of the error, or the class of an exception.
        received_bytes, sent_bytes: of the bodies.
        seconds: from the head of the request to the end of the response.
        stages: seconds by name of STAGES.
        predictions: target, decision and predicted classes of each prediction.
        unreadable: the error's code for each image that could not be read.
    """

    __slots__ = (
        "_stage_began", "began", "digest", "error", "id", "images", "method", "model", "predictions",
        "received_bytes", "route", "seconds", "sent_bytes", "stages", "status", "unreadable",
    )  # fmt: skip

    def __init__(self, method: str, request_id: str = "") -> None:
        self.began = self._stage_began = time.perf_counter()
        self.id = request_id if _SAFE_ID.fullmatch(request_id) else f"{_PROCESS}{next(_NUMBERS):08x}"
        self.method = method if method in METHODS else OTHER
        self.route, self.status = OTHER, 499
        self.model = self.digest = self.error = ""
        self.images = self.received_bytes = self.sent_bytes = 0
        self.seconds = 0.0
        self.stages: dict[str, float] = {}
        self.predictions: list[tuple[str, str, Sequence[str]]] = []
        self.unreadable: list[str] = []

    def use_model(self, model: str, digest: str) -> None:
        """Note which model predicts."""
        self.model, self.digest = model, digest

    def end_stage(self, stage: str) -> None:
        """Note that one of STAGES ends now, which began where the one before it ended."""
        now = time.perf_counter()
        self.stages[stage] = now - self._stage_began
        self._stage_began = now

    def end_decoding(self, images: Sequence[ReadImage]) -> None:
        """Note that decoding ends now, and which images could not be read."""
        self.end_stage("decode")
        self.images = len(images)
        errors = [image.prediction.error for image in images if image.pixels is None]
        self.unreadable = [error.code if isinstance(error, Message) else OTHER for error in errors]

    def add_decisions(self, target: Target, triage: Triage) -> None:
        """Note what was predicted of one target for some images."""
        decisions = [DECISIONS[place] for place in triage.decisions.tolist()]
        classes: list[tuple[str, ...]]
        if triage.predicted_labels is None:
            classes = [(target.classes[place],) for place in triage.predicted.tolist()]
        else:
            classes = [tuple(compress(target.classes, row)) for row in triage.predicted_labels]
        self.predictions += zip(repeat(target.name), decisions, classes)

    def add_predictions(self, predictions: Iterable[Prediction | ProductPrediction]) -> None:
        """Note what was predicted."""
        for each in predictions:
            for target, prediction in each.predictions.items():
                classes = prediction.labels
                if classes is None:
                    classes = (prediction.label,)
                self.predictions.append((target, prediction.decision, classes))


def begin_record(scope: Scope) -> RequestRecord:
    """The record of a new request, which `record_of` finds from then on."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    record: RequestRecord = scope.setdefault(_KEY, RequestRecord(scope["method"], sent.decode("latin-1")))
    return record


def record_of(scope: Scope) -> RequestRecord:
    """The record of the request with this scope; a new one where nothing observes the requests."""
    record: RequestRecord | None = scope.get(_KEY)
    return record or begin_record(scope)
