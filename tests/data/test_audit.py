"""The checks of an audit on images with known faults."""

import io
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from muslin.data.audit import duplicates as audit_duplicates
from muslin.data.audit import image_stats, near_duplicates
from muslin.data.audit.checks import CHECKS, AuditContext, audit_overview
from muslin.data.audit.classes import find_imbalance, find_small_classes, find_split_groups
from muslin.data.audit.duplicates import find_duplicates, find_identical, find_label_conflicts, find_near
from muslin.data.audit.findings import KINDS, Finding, ordered, samples
from muslin.data.audit.image_checks import (
    find_blank,
    find_blurred,
    find_dark,
    find_odd_shapes,
    find_tiny,
    find_unreadable,
)
from muslin.data.audit.image_stats import compute_image_stats
from muslin.data.audit.outliers import find_outliers
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.photos import Photo, PhotoImages
from muslin.data.synthetic import make_garments
from muslin.errors import ImageError
from muslin.images import decode
from muslin.messages import Message
from noted_decoding import noted_decoding

CLOTHING = Path(__file__).parents[3] / "shared/data/clothing-dataset-small.tar"


class Photos:
    """Images of any size, of which some cannot be decoded: an ImageError, or the bytes of a file, or pixels."""

    def __init__(self, pictures):
        self.pictures = list(pictures)

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        picture = self.pictures[index]
        if isinstance(picture, ImageError):
            raise picture
        return decode(picture, name=f"photo {index}").pixels if isinstance(picture, bytes) else picture

    def take(self, indices):
        return Photos([self.pictures[i] for i in indices])


def dataset(pictures, labels=None, parts=None, groups=None, classes=("a", "b")):
    images = pictures if hasattr(pictures, "take") and not isinstance(pictures, np.ndarray) else Photos(pictures)
    count = len(images)
    labels = np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels)
    listed = [None if v is None else np.array(v, dtype=object) for v in (parts, groups)]
    ids = np.array([f"p{i}" for i in range(count)], dtype=object)
    return Dataset(
        "set", "f", images, (Target("label", classes),), {"label": labels}, ids, parts=listed[0], groups=listed[1]
    )


def found(check, data):
    """Index and score of each finding of one image, worst first."""
    findings = ordered(check(data, compute_image_stats(data.images)))
    return [(finding.samples[0].index, finding.score) for finding in findings]


def duplicates_of(data):
    return find_duplicates(data, compute_image_stats(data.images), lambda sentence: None)


@pytest.fixture(scope="module")
def photos():
    """Forty drawn colour garments of 160×160, which are as sharp as photos and as unlike each other."""
    pixels = make_garments(40, seed=5, size_px=160, colour=True).dataset.images.pixels
    return [pixels[i, : 120 + i, :] for i in range(40)]


def resaved(pixels, scale=0.8, quality=60):
    """The image as somebody else saved it."""
    image = Image.fromarray(pixels)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_table_has_one_check_for_every_kind():
    assert sorted(check.kind for check in CHECKS) == sorted(KINDS)


def test_unreadable_photos_are_findings_and_others_are_checked(photos):
    broken = [resaved(photos[0])[:500], ImageError("image_empty", name="photo 3")]
    data = dataset([photos[0], broken[0], photos[1], broken[1]])
    stats = compute_image_stats(data.images)
    findings = list(find_unreadable(data, stats))
    assert [f.samples[0].index for f in findings] == [1, 3]
    assert "photo 1" in findings[0].message.params["error"]
    assert "photo 3" in findings[1].message.params["error"]
    assert all(f.samples[0].exclude for f in findings)
    assert stats.readable.tolist() == [0, 2]
    for check in CHECKS:  # none stumbles over it
        check.find(AuditContext(data, stats, duplicates_of(data)))


def test_data_without_a_readable_image_are_audited():
    data = dataset([ImageError("image_empty", name="x")] * 3)
    stats = compute_image_stats(data.images)
    context = AuditContext(data, stats, duplicates_of(data))
    kinds = {f.kind for check in CHECKS if not check.skip(context) for f in check.find(context)}
    assert kinds == {"unreadable", "small_class"}


def test_an_even_tone_is_blank_but_a_pale_garment_is_not(photos):
    even = np.full((100, 80, 3), 200, dtype=np.uint8)
    noisy = even + np.random.default_rng(0).integers(0, 4, even.shape, dtype=np.uint8)
    pale = even.copy()
    pale[30:70, 20:60] = 215
    data = dataset([photos[0], even, noisy, pale])
    assert [index for index, _ in found(find_blank, data)] == [1, 2]


def test_tiny_is_relative_to_the_other_images(photos):
    data = dataset([*photos, photos[0][:20, :20]])
    assert found(find_tiny, data) == [(40, 20.0)]
    assert found(find_tiny, make_garments(20, seed=1).dataset) == []


def test_blurred_photo_is_found_among_sharp_ones(photos):
    soft = np.asarray(Image.fromarray(photos[3]).filter(ImageFilter.GaussianBlur(4)))
    data = dataset([*photos, soft])
    ((index, score),) = found(find_blurred, data)
    assert index == 40
    assert score < 0.75


def test_dark_photo_is_found_but_not_a_black_garment_on_white(photos):
    night = (photos[0] // 6).astype(np.uint8)
    black = np.full((100, 100, 3), 255, dtype=np.uint8)
    black[20:80, 20:80] = 10
    data = dataset([photos[1], night, black])
    assert [index for index, _ in found(find_dark, data)] == [1]


def test_a_strip_is_odd_unless_all_images_are_strips(photos):
    strip = np.tile(photos[0][:40], (1, 4, 1))
    assert found(find_odd_shapes, dataset([*photos[:9], strip])) == [(9, 16.0)]
    assert found(find_odd_shapes, dataset([strip] * 9)) == []


def test_one_of_two_identical_images_is_kept():
    synthetic = make_garments(120, seed=9, duplicates=6)
    copies = duplicates_of(synthetic.dataset)
    findings = list(find_identical(synthetic.dataset, copies))
    together = sorted(sorted(s.index for s in f.samples) for f in findings)
    assert together == sorted(map(list, synthetic.duplicates.tolist()))
    assert all([s.exclude for s in f.samples] == [False, True] for f in findings)
    assert all(f.score == 2 and not f.leak for f in findings)


def test_one_of_three_identical_images_is_kept():
    base = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)
    data = dataset(PixelImages(np.concatenate([base, base[[4, 4]]])), parts=["train"] * 31 + ["test"])
    duplicates = duplicates_of(data)
    assert [group.tolist() for group in duplicates.identical] == [[4, 30, 31]]
    assert duplicates.exclude == {4, 30}


def test_the_copy_in_the_test_set_is_kept_and_is_a_leak():
    synthetic = make_garments(60, seed=9, duplicates=1)
    ((first, second),) = synthetic.duplicates.tolist()
    parts = np.array(["train"] * 60, dtype=object)
    parts[second] = "test"
    data = replace(synthetic.dataset, parts=parts)
    (finding,) = find_identical(data, duplicates_of(data))
    assert finding.leak
    assert [(s.index, s.part, s.exclude) for s in finding.samples] == [(second, "test", False), (first, "train", True)]
    assert finding.message.params["parts"] == ["train", "test"]
    assert finding.message.params["keep"] == str(data.ids[second])


def test_in_a_chain_of_copies_no_two_adjacent_ones_are_kept():
    base = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)
    chain = [base[0].copy() for _ in range(3)]
    for step, picture in enumerate(chain):
        picture[0, :step] ^= 64  # each a little farther from the first
    data = dataset(PixelImages(np.concatenate([base[1:], np.stack(chain)])))
    copies = duplicates_of(data)
    for one, other in copies.edges.tolist():
        assert {one, other} & copies.exclude
    assert len(copies.exclude) == 2


def test_a_photo_saved_again_smaller_is_a_near_duplicate(photos):
    copies_of = [3, 11, 26]
    data = dataset([*photos, *(resaved(photos[i]) for i in copies_of)], parts=["train"] * 40 + ["test"] * 3)
    findings = list(find_near(data, duplicates_of(data)))
    assert sorted(tuple(sorted(s.index for s in f.samples)) for f in findings) == [(3, 40), (11, 41), (26, 42)]
    assert all(f.leak for f in findings)
    assert [s.part for f in findings for s in f.samples if s.exclude] == ["train"] * 3
    assert all(f.message.params["parts"] == ["train", "test"] for f in findings)


def test_too_many_near_duplicates_are_reported_as_incomplete(monkeypatch):
    monkeypatch.setattr(audit_duplicates, "MAX_PAIRS", 50)
    monkeypatch.setattr(near_duplicates, "MAX_PAIRS", 50)
    random = np.random.default_rng(0)
    same = np.clip(random.integers(0, 250, (1, 12, 12, 1)) + random.integers(0, 3, (60, 12, 12, 1)), 0, 255)
    others = random.integers(0, 256, (200, 12, 12, 1))
    data = dataset(PixelImages(np.concatenate([same, others]).astype(np.uint8)))
    copies = duplicates_of(data)
    assert not copies.complete
    assert len(copies.exclude) == 59
    context = AuditContext(data, compute_image_stats(data.images), copies)
    assert not audit_overview(context)["near_duplicate_search_complete"]


def test_fine_stripes_do_not_hide_a_near_duplicate():
    stripes = np.tile((np.arange(400) // 6 % 2 * 200)[:, np.newaxis, np.newaxis], (1, 400, 3)).astype(np.uint8)
    others = make_garments(20, seed=1, size_px=200, colour=True).dataset.images.pixels
    data = dataset([*others, stripes, resaved(stripes)])
    assert [{s.index for s in f.samples} for f in find_near(data, duplicates_of(data))] == [{20, 21}]


def test_same_image_with_two_labels_is_a_conflict(photos):
    labels = [0] * 40 + [1, 0, UNKNOWN]
    again = [photos[7].copy(), resaved(photos[8]), photos[9].copy()]
    data = dataset([*photos, *again], labels=labels)
    (finding,) = find_label_conflicts(data, duplicates_of(data))
    assert {s.index for s in finding.samples} == {7, 40}
    assert all(s.exclude for s in finding.samples)
    assert finding.score == 0
    assert finding.message.params["labels"] == ["label: a / b"]


def test_conflicting_tags_are_a_conflict_but_unknown_ones_are_not(photos):
    data = dataset([photos[0], photos[0], photos[1], photos[1]])
    tags = Target("tags", ("red", "long", "warm"), "multilabel")
    values = np.array([[1, 0, UNKNOWN], [1, 1, 0], [1, UNKNOWN, 0], [UNKNOWN, 1, 0]], dtype=np.int8)
    data = replace(data, targets=(tags,), labels={"tags": values})
    (finding,) = find_label_conflicts(data, duplicates_of(data))
    assert {s.index for s in finding.samples} == {0, 1}
    assert finding.message.params["labels"] == ["tags: long yes / no"]


def test_blank_images_are_not_near_duplicates():
    random = np.random.default_rng(0)
    blanks = [np.full((40, 30, 3), 250, np.uint8) - random.integers(0, 2, (40, 30, 3), np.uint8) for _ in range(20)]
    garments = make_garments(20, seed=1, size_px=100, colour=True).dataset.images.pixels
    data = dataset([*garments, *blanks])
    assert list(find_near(data, duplicates_of(data))) == []
    assert len(list(find_blank(data, compute_image_stats(data.images)))) == 20


def test_noise_and_negatives_are_outliers():
    synthetic = make_garments(400, seed=4).dataset
    pixels = synthetic.images.pixels.copy()
    pixels[[10, 20]] = 255 - pixels[[10, 20]]
    pixels[30] = np.random.default_rng(0).integers(0, 256, (28, 28, 1))
    data = replace(synthetic, images=PixelImages(pixels))
    assert {index for index, _ in found(find_outliers, data)[:3]} == {10, 20, 30}


def test_few_images_have_no_outliers(photos):
    assert found(find_outliers, dataset(photos[:8])) == []


def test_small_and_empty_classes_are_found():
    data = dataset(PixelImages(np.zeros((43, 4, 4, 1), np.uint8)), labels=[0] * 40 + [1] * 3, classes=("a", "b", "c"))
    findings = ordered(find_small_classes(data))
    assert [(f.score, [s.index for s in f.samples]) for f in findings] == [(0.0, []), (3.0, [40, 41, 42])]
    assert findings[1].message.params["label"] == "b"
    assert findings[1].message.params["count"] == 3


def test_imbalance_shows_the_largest_and_the_smallest_class():
    pixels = PixelImages(np.zeros((110, 4, 4, 1), np.uint8))
    (finding,) = find_imbalance(dataset(pixels, labels=[0] * 100 + [1] * 10, classes=("a", "b", "never")))
    assert finding.score == 10
    assert [s.index for s in finding.samples] == [0, 100]
    assert finding.message.params["largest_share"] == pytest.approx(100 / 110)
    assert list(find_imbalance(dataset(pixels, labels=[0] * 90 + [1] * 20))) == []
    assert list(find_imbalance(dataset(pixels, labels=[UNKNOWN] * 110))) == []


def test_a_group_in_two_parts_is_kept_in_the_test_set():
    parts = ["train"] * 40 + ["test"] * 10
    groups = [f"g{i}" for i in range(40)] + ["g7"] + [f"t{i}" for i in range(9)]
    data = dataset(PixelImages(np.zeros((50, 4, 4, 1), np.uint8)), parts=parts, groups=groups)
    (finding,) = find_split_groups(data)
    assert [(s.index, s.exclude) for s in finding.samples] == [(40, False), (7, True)]
    assert finding.leak
    assert finding.message.params["group"] == "g7"
    assert finding.message.params["counts"] == ["train (1)", "test (1)"]
    assert finding.message.hint_code == "exclude_others"


def test_many_split_groups_suggest_another_split():
    data = dataset(
        PixelImages(np.zeros((40, 4, 4, 1), np.uint8)),
        parts=["train", "train", "train", "test"] * 10,
        groups=[f"g{i // 4}" for i in range(40)],
    )
    findings = list(find_split_groups(data))
    assert len(findings) == 10
    assert not any(s.exclude for f in findings for s in f.samples)
    assert findings[0].message.hint_code == "resplit"


def test_findings_are_worst_first_for_either_direction(photos):
    data = dataset(photos)
    some = [
        Finding(kind, samples(data, [i]), score, Message("finding_dark", brightness=score))
        for i, (kind, score) in enumerate(
            [("outlier", 1.0), ("outlier", 3.0), ("suspect_label", 0.1), ("suspect_label", 0.2), ("unreadable", 1.0)]
        )
    ]
    assert [f.samples[0].index for f in ordered(some)] == [4, 3, 2, 1, 0]


def test_small_images_of_one_size_are_compared_by_pixels(synthetic):
    pixels = synthetic.dataset.images.pixels
    stored = compute_image_stats(PixelImages(pixels))
    lazy = compute_image_stats(Photos(list(pixels)))
    assert stored.full_size
    assert lazy.full_size
    assert (stored.thumbnails == lazy.thumbnails).all()
    assert (stored.digests == lazy.digests).all()
    for name in ("mean", "std", "brightness_p99", "sharpness"):
        assert getattr(stored, name) == pytest.approx(getattr(lazy, name), rel=1e-4)
    assert not compute_image_stats(Photos([*pixels[:5], pixels[5][:27]])).full_size


def test_many_thumbnails_go_to_a_file(photos, monkeypatch):
    in_memory = compute_image_stats(Photos(photos))
    monkeypatch.setattr(image_stats, "IN_MEMORY_BYTES", 1000)
    stats = compute_image_stats(Photos(photos))
    assert isinstance(stats.thumbnails, np.memmap)
    assert (stats.thumbnails == in_memory.thumbnails).all()
    data = dataset(photos)
    assert len(find_duplicates(data, stats, lambda sentence: None).near_pairs) == 0


def test_statistics_of_photos_in_files_are_cached(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for i in range(20):
        size = (90, 90 + i, 3)
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / f"{i:02}.png")
    (tmp_path / "07.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = PhotoImages(tuple(Photo(f"{i:02}.png", tmp_path / f"{i:02}.png") for i in range(20)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = compute_image_stats(files)
    names = noted_decoding(monkeypatch)
    again = compute_image_stats(files)
    assert set(names) == {"00.png", "07.png"}, "the first one, for its size, and the one that cannot be read"
    changed = Image.fromarray(random.integers(0, 256, (90, 90, 3), dtype=np.uint8))
    changed.save(tmp_path / "05.png")
    other = compute_image_stats(files)
    assert "05.png" in names
    assert not again.full_size
    assert list(again.errors) == list(first.errors) == [7]
    for name in ("sizes", "digests", "mean", "std", "brightness_p99", "sharpness", "thumbnails"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        rows = np.arange(20) != 5
        np.testing.assert_array_equal(getattr(other, name)[rows], getattr(first, name)[rows])
    assert (other.digests[5] != first.digests[5]).any()


def test_memory_does_not_grow_with_the_number_of_photos():
    class Generated(Photos):
        def __getitem__(self, index):
            return np.full((1000, 1000, 3), index, dtype=np.uint8)

    peaks = []
    for count in (8, 80):
        tracemalloc.start()
        compute_image_stats(Generated([None] * count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0]  # kept, they would be ten times as much


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.exists(), reason="needs clothing-dataset-small.tar")
def test_leaks_planted_among_real_photos_are_found():
    with tarfile.open(CLOTHING) as archive:
        files = [
            (member.name.split("/")[-3], archive.extractfile(member).read())
            for member in archive
            if member.isfile() and member.name.endswith(".jpg") and "/validation/" not in f"/{member.name}"
        ]
    train = [content for part, content in files if part == "train"]
    test = [content for part, content in files if part == "test"]
    random = np.random.default_rng(11)
    chosen = random.choice(len(train), 20, replace=False)
    ways = [
        lambda content: content,
        lambda content: resaved(decode(content).pixels, scale=1.0),
        lambda content: resaved(decode(content).pixels, quality=95),
        lambda content: resaved(decode(content).pixels),
    ]
    planted = [ways[place % len(ways)](train[i]) for place, i in enumerate(chosen)]
    everything = [*train, *test, *planted]
    parts = ["train"] * len(train) + ["test"] * (len(test) + 20)
    data = dataset(everything, parts=parts)
    copies = duplicates_of(data)
    findings = [*find_identical(data, copies), *find_near(data, copies)]
    leaks = {tuple(sorted(s.index for s in f.samples)) for f in findings if f.leak}
    wanted = {(int(i), len(train) + len(test) + place) for place, i in enumerate(chosen)}
    assert wanted <= leaks
    assert len(leaks - wanted) <= 10
    assert audit_duplicates.NEAR_DUPLICATE_DISTANCE_RATIO * copies.median_distance == copies.radius
