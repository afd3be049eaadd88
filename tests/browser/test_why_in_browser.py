"""The page of `muslin explain` in a real browser, from the disk and without a network."""

from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from PIL import Image

import muslin
from muslin.data.synthetic import make_garments
from muslin.reporting.report.explanation_page import page as page_of
from muslin.workflows import explain as explain_workflow

AXE = Path(__file__).with_name("axe.min.js")
PHOTO = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 2}


@pytest.fixture(scope="module", params=["tutorial", "quick", "photo"])
def why(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("why")
    if request.param == "photo":
        garments, settings = make_garments(40, seed=2, size_px=48, colour=True), PHOTO
        data = folder / "photos"
        for number, pixels in enumerate(garments.dataset.images):
            target = garments.dataset.targets[0]
            folder_of_class = data / target.classes[garments.dataset.labels[target.name][number]]
            folder_of_class.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder_of_class / f"{number}.png")
    else:
        garments, settings = make_garments(120, seed=1), {"epochs": 1, "batch_size": 40}
        data = garments.dataset
    run = muslin.train(data, recipe=request.param, out=folder / "run", settings=settings)
    Image.fromarray(np.squeeze(garments.dataset.images[0])).save(folder / "garment.png")
    explanation = explain_workflow.explain(run.model, folder / "garment.png")
    (folder / "why.html").write_text(page_of(explanation))
    return folder / "why.html", explanation


@pytest.mark.slow
def test_page_opens_from_disk_without_errors(why):
    file, explanation = why
    assert file.stat().st_size < 3_000_000
    with chromium() as page:
        for width, scheme in ((1100, "light"), (390, "dark")):
            page.resize(width, 900, phone=width < 500)
            page.prefer(scheme)
            page.open(file)
            assert page.console == []
            assert [a for a in page.requested if not a.startswith(("file:", "data:"))] == []
            assert page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
            assert page.run("document.documentElement.scrollWidth") <= width
            problems = page.run(
                AXE.read_text()
                + ";axe.run(document).then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))"
            )
            assert [p for p in problems if p[1] in ("serious", "critical")] == []
        cells, bias, score = page.run(
            "[...document.querySelector('.sum').querySelectorAll('dd')]"
            ".map(d => Number(d.textContent.replace('−', '-')))"
        )
        assert cells + bias == pytest.approx(score, rel=1e-4, abs=1e-4)
        shown = page.run("document.querySelectorAll('.layers li').length")
        assert shown == sum(not layer.auxiliary for layer in explanation.inspection.model.layered.layers)
