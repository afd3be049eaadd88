"""The page of an audit: what a person sees and decides, whatever the images are called."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from synthetic_evaluations import Photos
from test_report import Page

from muslin.data.audit.findings import KINDS, Audit, Finding, ordered, samples
from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import ImageError
from muslin.messages import Message
from muslin.reporting.report import audit_page
from muslin.reporting.report.audit_page import audit_html, write_audit_page
from muslin.reporting.terminal.audit import print_audit

OVERVIEW = {
    "data": "garments",
    "format": "folders",
    "origin": "garments, photos in folders",
    "fixes": ["hidden files passed over: 3"],
    "images": 200,
    "readable": 199,
    "parts": {"train": 150, "test": 50},
    "classes": {"label": 3},
    "shorter_side_px": [12, 12, 12],
    "comparison_size": [12, 12, 1],
    "compared_at_full_size": True,
    "median_distance": 2000.0,
    "near_duplicate_distance": 160.0,
    "near_duplicate_distance_ratio": 0.08,
    "near_duplicate_search_complete": True,
    "label_checks_per_target": {
        "label": {
            "images": 199, "labels": 199, "accuracy": 0.913, "majority_accuracy": 0.34, "folds": 4,
            "models": "networks", "expected": Message("label_errors_none"),
        }
    },
}  # fmt: skip


def garments(ids=None, classes=("coat", "shirt", "bag"), images=None, count=200):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 1), dtype=np.uint8)
    names = [f"garment-{i}.jpg" for i in range(count)] if ids is None else list(ids)
    return Dataset(
        "garments",
        "folders",
        PixelImages(pixels) if images is None else images,
        (Target("label", tuple(classes)),),
        {"label": np.arange(count) % len(classes)},
        np.array(names, dtype=object),
        np.array(["train"] * (count * 3 // 4) + ["test"] * (count // 4), dtype=object),
    )


def finding(data, kind, indices, exclude=(), score=1.0, leak=False, reason="8 % of it."):
    message = Message("finding_unreadable", error=reason)
    return Finding(kind, samples(data, indices, exclude), score, message, leak)


def audited(*findings):
    return Audit(
        ordered(findings), OVERVIEW, {"blurred": "The images are small."}, {"image_stats": 1.0, "duplicates": 2.5}
    )


def choices(read):
    """Per button of a parsed page the id, and whether the audit suggests to exclude it."""
    return [
        (attributes["data-id"], attributes["data-suggested"] == "1")
        for tag, attributes in read.elements
        if attributes.get("class") == "choice"
    ]


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_findings_are_grouped_leaks_first_then_worst_first():
    data = garments()
    found = audited(
        finding(data, "outlier", [5], score=2.0),
        finding(data, "outlier", [6], score=3.0),
        finding(data, "near_duplicate", [1, 2], [2], score=10.0),
        finding(data, "near_duplicate", [160, 3], [3], score=20.0, leak=True),
        finding(data, "blank", [7], [7]),
    )
    read = Page(audit_html(data, found))
    titles = [a["id"] for tag, a in read.elements if tag == "section" and "id" in a]
    assert titles == ["leak", "blank", "near_duplicate", "outlier"]
    assert [id_ for id_, _ in choices(read)] == [f"garment-{i}.jpg" for i in (160, 3, 7, 1, 2, 6, 5)]
    assert [id_ for id_, out in choices(read) if out] == [f"garment-{i}.jpg" for i in (3, 7, 2)]
    assert "5 findings in 200 images: 3 suggested to exclude" in read.text


def test_an_image_excluded_by_one_finding_is_in_every_other():
    data = garments()
    read = Page(audit_html(data, audited(finding(data, "blank", [7], [7]), finding(data, "dark", [7]))))
    assert choices(read) == [("garment-7.jpg", True)] * 2


def test_a_finding_shows_reason_suggestion_and_score():
    data = garments()
    found = audited(finding(data, "outlier", [5], score=2.345))
    html = audit_html(data, found)
    text = Page(html).text
    assert "8\u00a0% of it." in html
    assert found.findings[0].message.hint() in text
    assert "1 of 1 · score 2.35" in text
    assert KINDS["outlier"]["description"] in text
    assert KINDS["outlier"]["score"] in text


def test_checks_and_skipped_checks_are_listed():
    text = Page(audit_html(garments(), audited())).text
    assert "No findings in 200 images" in text
    assert "skipped: blurred The images are small." in text
    assert "hidden files passed over: 3" in text
    assert "150 in train, 50 in test" in text
    assert "agree with 91.3 % of the labels" in text


def test_the_page_loads_nothing_and_runs_only_its_script():
    data = garments()
    html = audit_html(data, audited(finding(data, "outlier", [5])))
    read = Page(html)
    for tag, attributes in read.elements:
        assert tag not in ("iframe", "object", "embed", "base", "link") or attributes.get("rel") == "icon"
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"(data:|#)", attributes.get(key, "#"))
    assert not re.search(r"https?:|@import|url\(", html)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (policy,) = (a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    (allowed,) = re.findall(r"script-src '([^']*)'", policy)
    hashes = ["sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert hashes == [allowed]
    assert "default-src 'none'" in policy


def test_names_are_escaped():
    ids = [f"</script><script>alert({i})</script>" for i in range(100)] + [f'"{i}<b>&amp;' for i in range(100)]
    classes = ("<i>coat", '"shirt', "bag & co")
    data = garments(ids, classes)
    hidden = [finding(data, "blank", [i], [i]) for i in range(100)]
    html = audit_html(data, audited(*hidden, finding(data, "outlier", [150], reason="<img src=x>")))
    read = Page(html)
    assert [tag for tag, _ in read.elements].count("script") == 2
    assert {id_ for id_, _ in choices(read)} == {*ids[:60], ids[150]}
    assert data_of(html)["hidden"] == [["train", id_] for id_ in ids[60:100]]
    assert "<i>coat" in read.text
    assert "<img src=x>" in read.text


def test_headings_buttons_and_images_are_accessible():
    data = garments()
    read = Page(
        audit_html(data, audited(finding(data, "identical", [1, 2, 3], [2, 3]), finding(data, "blank", [7], [7])))
    )
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(a.get("alt") for tag, a in read.elements if tag == "img")
    ids = [a["id"] for _, a in read.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in read.elements:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
    pressed = {a["aria-label"]: a["aria-pressed"] for _, a in read.elements if a.get("class") == "choice"}
    assert pressed["Exclude garment-2.jpg"] == "true"
    assert pressed["Exclude garment-1.jpg"] == "false"


def test_thousands_of_findings_fit_on_a_small_page():
    photos = Photos(9000)
    data = garments(images=photos, count=9000)
    found = audited(
        *(finding(data, "suspect_label", [i], [i], score=i / 9000) for i in range(4000)),
        *(finding(data, "near_duplicate", [i, i + 1], [i], score=float(i)) for i in range(0, 3000, 2)),
        *(finding(data, "outlier", [i], score=float(i)) for i in range(3000)),
        finding(data, "small_class", list(range(5000, 5020))),
    )
    html = audit_html(data, found)
    assert len(html.encode()) < 5_000_000
    assert photos.n_decoded < 400
    read = Page(html)
    assert "worst of 4,000;" in read.text
    assert "14 more images of this finding not shown" in read.text
    shown = {id_ for id_, out in choices(read) if out}
    hidden = {id_ for _, id_ in data_of(html)["hidden"]}
    assert not shown & hidden
    assert shown | hidden == {str(data.ids[i]) for i in found.exclusions}


def test_names_beyond_the_page_size_are_counted(monkeypatch):
    monkeypatch.setattr(audit_page, "HIDDEN_BYTES", 300)
    data = garments()
    html = audit_html(data, audited(*(finding(data, "blank", [i], [i]) for i in range(100))))
    kept = len(data_of(html)["hidden"])
    assert 0 < kept < 40
    assert f"no room for {40 - kept} more suggestions" in Page(html).text


def test_large_photos_share_the_page_size(monkeypatch):
    monkeypatch.setattr(audit_page, "PAGE_BYTES", 400_000)
    data = garments(images=Photos(200))
    found = audited(
        *(finding(data, "near_duplicate", [i, i + 1], score=float(i)) for i in range(100)),
        *(finding(data, "outlier", [i], score=float(i)) for i in range(100)),
        finding(data, "dark", [5]),
    )
    html = audit_html(data, found)
    assert len(html) < 480_000
    read = Page(html)
    for key in ("near_duplicate", "outlier", "dark"):
        assert any(a.get("id", "").startswith(f"{key}-1") for _, a in read.elements)


def test_an_unreadable_photo_has_a_button():
    class Broken(Photos):
        def __getitem__(self, index):
            if index == 5:
                raise ImageError("image_empty", name="garment-5.jpg")
            return super().__getitem__(index)

    data = garments(images=Broken(200))
    found = audited(finding(data, "unreadable", [5], [5], reason="garment-5.jpg: is empty (0 bytes). Copy it again."))
    read = Page(audit_html(data, found))
    assert choices(read) == [("garment-5.jpg", True)]
    assert "unreadable" in read.text
    assert "Copy it again.." not in read.text


def test_data_without_labels_or_parts_have_a_page(tmp_path):
    data = replace(garments(), targets=(), labels={}, parts=None)
    write_audit_page(tmp_path / "audit.html", data, audited(finding(data, "blank", [7], [7])))
    read = Page((tmp_path / "audit.html").read_text(encoding="utf-8"))
    assert choices(read) == [("garment-7.jpg", True)]
    assert all(a["data-part"] == "" for _, a in read.elements if a.get("class") == "choice")


def test_a_name_that_is_not_unicode_is_written(tmp_path):
    data = garments(["caf\udce9.jpg", *(f"{i}" for i in range(199))])
    write_audit_page(tmp_path / "audit.html", data, audited(finding(data, "blank", [0], [0])))
    assert "caf\\udce9.jpg" in (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_the_terminal_has_a_row_per_kind_and_skipped_checks():
    data = garments()
    out = io.StringIO()
    print_audit(
        audited(
            finding(data, "near_duplicate", [160, 3], [3], leak=True),
            finding(data, "near_duplicate", [1, 2], [2]),
            finding(data, "dark", [9]),
        ),
        out,
    )
    result = out.getvalue()
    assert "garments: 200 images, 3 findings" in result
    assert re.search(r"Near-duplicates +2 +1 +2", result)
    assert re.search(r"Dark +1 *\n", result)
    assert "Skipped: blurred. The images are small." in result


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_describes_its_score(kind):
    assert KINDS[kind]["score"]
    assert KINDS[kind]["worst_score"] in ("lowest", "highest")
    assert KINDS[kind]["description"].endswith(".")
