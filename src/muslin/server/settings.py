"""What the command line sets, and the limits that it does not set."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muslin.errors import BundleError, MuslinError
from muslin.models.predictor import MODEL_FILE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A model's name: it is a part of paths, of labels of metrics and of file names."""

MAX_REQUEST_MB = 100.0
"""A request's body, unless a single image may be larger: five of the largest photos, or dozens of ordinary ones."""

MAX_NAME = 200
"""Characters of an image's or a product's name; names of files have at most 255 bytes."""


@dataclass(frozen=True)
class Settings:
    """What a server does, and its limits.

    Attributes:
        models: the .muslin file, or the folder of a run, by the model's name, in order.
        host, port: where to listen; port 0 takes a free one.
        workers: processes.
        token: what a request must carry; None lets in every one.
        allow_hosts: further values of the Host header, without a port.
        max_batch: images in a run of a model; None for as many as suit the model, which is the most in any case.
        max_wait_ms: milliseconds that an image waits for others that are on their way.
        max_image_mb: size of an image's file, in 10⁶ bytes.
        max_images: images in a request.
        max_requests: requests that are being answered at a time.
        request_s: seconds for a request to arrive and to be answered.
        grace_s: seconds in which a stop finishes the requests that were taken.
        precision, guarantee: of accepted predictions, where a request names none; as of `Predictor.predict`.
        shadows: by the name of a model, the file of a candidate that predicts beside it.
        root_path: what a proxy has taken from the start of each path.
        trust_proxy: addresses of proxies whose forwarded headers count.
        log_format: `json` or `text`.
        threads: threads of a model and of decoding; None for the physical cores.
    """

    models: Mapping[str, Path]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
    max_batch: int | None = None
    max_wait_ms: float = 2.0
    max_image_mb: float = 20.0
    max_images: int = 64
    max_requests: int = 128
    request_s: float = 30.0
    grace_s: float = 30.0
    precision: float | None = None
    guarantee: str = "overall"
    shadows: Mapping[str, Path] = field(default_factory=dict)
    root_path: str = ""
    trust_proxy: tuple[str, ...] = ()
    log_format: str = "text"
    threads: int | None = None

    @property
    def max_image_bytes(self) -> int:
        return int(self.max_image_mb * 1e6)

    @property
    def max_request_bytes(self) -> int:
        """Of a request's whole body: as many images as it may have, but at most MAX_REQUEST_MB or one image."""
        one = self.max_image_bytes + 2**16  # with the heads of a form's fields
        return max(one, min(self.max_images * one, int(MAX_REQUEST_MB * 1e6)))

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def check_settings(settings: Settings) -> None:
    """Refuse settings that are not safe.

    Raises:
        MuslinError: other machines can reach the server, and there is no token; or a shadow of no model.
    """
    if not settings.is_local and not settings.token:
        raise MuslinError("serve_without_token", host=settings.host)
    for name in settings.shadows:
        if name not in settings.models:
            raise MuslinError("shadow_of_no_model", name=name, choices=list(settings.models))


def models_by_name(words: Sequence[str]) -> dict[str, Path]:
    """Models as the command line names them, [NAME=]MODEL each, by their names.

    A model without a name has that of its file, or of its run's folder.

    Raises:
        BundleError: there is no such file.
        MuslinError: a name is none, or names two models.
    """
    models: dict[str, Path] = {}
    for word in words:
        name, path = _named(word)
        if not NAME.fullmatch(name):
            raise MuslinError("model_name", name=name, path=str(path))
        if name in models:
            raise MuslinError("model_name_repeated", name=name)
        models[name] = path
    return models


def _named(word: str) -> tuple[str, Path]:
    name, separator, rest = word.partition("=")
    if separator and "/" not in name and not Path(word).exists():
        return name, _file(Path(rest))
    path = _file(Path(word))
    if path.name == MODEL_FILE and Path(word).is_dir():
        return path.resolve().parent.name, path
    return path.stem, path


def _file(path: Path) -> Path:
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.exists():
        raise BundleError("bundle_missing", "path", path=str(path))
    return path
