"""Every command gives the network the same pixels, and photos stream through it in order."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.data.photos import ResizedPhotos, ordered_map, resize_photos
from muslin.data.reader import read
from muslin.explain.preprocessing_steps import trace_preprocessing
from muslin.models.photo_pipeline import BATCH, batch_size, infer_stream
from muslin.models.photo_reading import ReadImage, read_image
from muslin.models.prediction import Prediction
from muslin.models.predictor import Predictor
from small_models import small_bundle

ORIENTATION = 0x0112


@pytest.mark.parametrize("orientation", [1, 6])
def test_every_command_decodes_a_large_jpeg_alike(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1800, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "photos" / "shirt" / "a.jpg"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path, exif=exif)
    bundle = small_bundle()
    preprocessing = bundle.preprocessing
    images = resize_photos(read(tmp_path / "photos"), preprocessing.shape, preprocessing.transform).images
    assert isinstance(images, ResizedPhotos)
    tagged = read_image("a", images.photos[0], preprocessing, None)
    _, explained, notes = trace_preprocessing(bundle, path)
    for found in (tagged.pixels, read_image("a", path, preprocessing, None).pixels, explained):
        assert np.array_equal(found, images[0])
    assert notes == tagged.prediction.notes
    assert notes[-1].params["before"] == ("1800×1500" if orientation == 1 else "1500×1800")


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, 100])
def test_images_stay_in_order_with_their_own_output(count: int) -> None:
    def read_number(name: str, image: int) -> ReadImage:
        return ReadImage(Prediction(name, {}), np.full((1, 1, 1), image, np.uint8))

    def infer(images: list[ReadImage], in_threads: bool) -> list[ReadImage]:
        assert in_threads == (count > BATCH)
        return [image.with_values({"a": image.pixels[0, 0].astype(np.float32)}, None) for image in images]

    stream = infer_stream(((str(i), i) for i in range(count)), read_number, infer, threads=3, batch_size=BATCH)
    found = [image for batch in stream for image in batch]
    assert [image.prediction.image for image in found] == list(map(str, range(count)))
    assert [int(image.values["a"][0]) for image in found] == list(range(count))
    assert all(image.pixels is None for image in found)


def test_threads_and_streams_give_the_same_bits(tmp_path: Path) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (90, 20, 30, 3)).astype(np.uint8))
    one_by_one = [Predictor(small_bundle()).predict(image)[0].predictions for image in images]
    for threads in (1, 2, 5):
        assert [each.predictions for each in Predictor(small_bundle(), threads).predict(images)] == one_by_one


def test_an_error_of_a_thread_ends_the_stream() -> None:
    results = ordered_map(lambda number: 1 // (5 - number), range(1000), 2, 2)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_batches_are_as_large_as_memory_and_threads_allow() -> None:
    assert batch_size(1, 2) == BATCH
    assert batch_size(256, 2) == 8
    assert batch_size(256, 16) == BATCH
