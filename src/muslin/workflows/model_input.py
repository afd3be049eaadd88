"""A data set as a model takes it, and the model's output for it.

Whatever runs a model over many photos does it here, so that one place decides what is cached: a photo that was decoded
and predicted once is not decoded again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from muslin.data.dataset import Dataset, Target, align
from muslin.data.photos import PhotoImages, ResizedPhotos, decode_photos, pixel_batches, readable_photos, resize_photos
from muslin.learn.networks import is_backbone
from muslin.messages import Log, no_log
from muslin.models.input_cache import DigestedPhotos
from muslin.models.model_output import ModelOutput, concat_outputs
from muslin.models.predictor import Predictor


def open_with_cache(model: str | Path | Predictor, graph: str | None = None) -> Predictor:
    """The model, which caches what it gives for photos; see `Predictor.with_cache`.

    Args:
        graph: of a model that is opened here, as of `Predictor.open`.

    Raises:
        BundleError: it cannot be opened.
    """
    return (model if isinstance(model, Predictor) else Predictor.open(model, graph=graph)).with_cache()


def to_model_input(predictor: Predictor, dataset: Dataset, log: Log = no_log) -> Dataset:
    """`dataset` with its photos as the model takes them; pixel images are unchanged."""
    preprocessing = predictor.bundle.preprocessing
    images, wanted = dataset.images, (preprocessing.shape, preprocessing.transform)
    if isinstance(images, ResizedPhotos) and (images.size, images.transform) == wanted:
        return dataset
    has_backbone = is_backbone(predictor.bundle.network.get("name"))
    if isinstance(images, PhotoImages) and (has_backbone or predictor.cache):
        resized = resize_photos(dataset, *wanted)
        assert isinstance(resized.images, ResizedPhotos)
        if not predictor.cache:
            cached = replace(resized, images=resized.images.cached())  # read again to predict and to compare
            return readable_photos(cached, log=log)
        digested = DigestedPhotos.of(resized.images, pixel_copies=not has_backbone)
        readable = readable_photos(replace(resized, images=digested), log=log)
        digested.rows.flush()
        return readable
    return decode_photos(dataset, preprocessing.shape, transform=preprocessing.transform, log=log)


def align_and_log(dataset: Dataset, targets: Sequence[Target], log: Log) -> Dataset:
    """`dataset` as of `muslin.data.dataset.align`; says how the labels were matched, where not simply by their names.

    Raises:
        DataError: as of `align`.
    """
    aligned = align(dataset, targets)
    for note in aligned.fixes[len(dataset.fixes) :]:
        log(note)
    return aligned


def infer_dataset(predictor: Predictor, dataset: Dataset) -> ModelOutput:
    """The model's output for images as of `to_model_input`, in their order."""
    if isinstance(dataset.images, DigestedPhotos) and len(dataset):
        return predictor.infer_photos(dataset.images)
    # Photos are decoded while the network works on those before them
    return concat_outputs([predictor.infer(batch) for batch in pixel_batches(dataset)])
