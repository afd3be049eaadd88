"""What newcomers look for inside a model: the whole network, why, labelled test images, a drawing, a phone."""

import numpy as np
import pytest
from page_actions import click, press, serious_problems, tab_to, until
from PIL import Image

from muslin.data.synthetic import make_garments
from muslin.workflows import train as train_workflow

TUTORIAL = "page=model&model=run/model.muslin"
RANKS = """
(async () => {
  const { askOnce } = await import('/static/api.js'), model = 'run/model.muslin', ranks = [];
  for (const { image, labels } of (await askOnce('/api/model/images', { model, start: 0 })).images) {
    const { predictions } = await askOnce('/api/predict', { inspection: { model, image } });
    const { probabilities } = predictions.label, truth = probabilities[labels.label];
    ranks.push(Object.values(probabilities).filter((value) => value > truth).length);
  }
  return ranks;
})()
"""
"""Per test image, how many classes are more probable than its true one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside").resolve()
    garments = make_garments(120, seed=1).dataset
    (target,) = garments.targets
    for part, numbers in (("train", range(90)), ("test", range(90, 120))):
        for number in numbers:
            photo = folder / "photos" / part / target.classes[garments.labels[target.name][number]] / f"{number}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.squeeze(garments.images[number])).save(photo)
    settings = {"epochs": 2, "batch_size": 45}
    train_workflow.train(folder / "photos", recipe="tutorial", settings=settings, out=folder / "run", snapshots=True)
    return folder


def test_the_whole_network_is_on_one_screen(page, address):
    page.visit(f"{address}/#page=model")  # without a model, one is chosen
    until(page, "document.querySelector('.models a')")
    click(page, ".models a")
    until(page, "document.querySelector('.verdict')")
    page.run("[...document.querySelectorAll('.tabs a')].find(a => a.textContent === 'Network').click()")
    until(page, "document.querySelectorAll('.node').length > 10 && document.querySelector('.classbar')")
    assert page.run("document.querySelectorAll('.node.block').length") == 0
    right, bottom = page.run(
        "(r => [Math.max(...r.map(b => b.right)), Math.max(...r.map(b => b.bottom))])"
        "([...document.querySelectorAll('.node')].map(n => n.getBoundingClientRect()))"
    )
    assert right <= 1280
    assert bottom <= 900
    painted = "[...document.querySelectorAll('.node canvas')].every(c => c.width > 1)"
    until(page, painted)
    until(page, "document.querySelectorAll('.node .range:not(:empty)').length > 8")
    beside = page.run("[...document.querySelectorAll('.nodefoot')].map(f => [f.getBoundingClientRect().left, "
                      "...[...f.children].filter(e => e.textContent).map(e => { const r = document.createRange(); "
                      "r.selectNodeContents(e); return r.getBoundingClientRect().right; })])")  # fmt: skip
    lefts = sorted({left for left, *_ in beside})
    for left, *rights in beside:
        assert max(rights, default=0) <= min([each for each in lefts if each > left], default=1280)


def test_focus_stays_where_the_work_is(page, address):
    page.visit(f"{address}/#{TUTORIAL}&tab=network")
    until(page, "document.querySelectorAll('.node').length > 10")
    tab_to(page, "e.matches('.cardbutton')")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        press(page, key)
    until(page, "document.querySelector('.nodeabout .unit')?.textContent.startsWith('activation')")
    press(page, "Enter")
    until(page, "document.querySelector('.layer-step')")
    assert page.run("document.activeElement.matches('.layerview h2')")
    assert "channel=2" in page.run("location.hash")
    tab_to(page, "e.matches('.large .map')")
    press(page, "ArrowLeft")
    press(page, "Enter")
    until(page, "location.hash.includes('at=')")
    assert page.run("document.activeElement.matches('.large .map')")
    press(page, "Escape")
    press(page, "Escape")
    until(page, "document.querySelectorAll('.node').length > 10")
    assert page.run("document.activeElement.dataset.key") == "conv1"


def test_a_kernel_shows_its_numbers_and_units(page, address):
    page.visit(f"{address}/#{TUTORIAL}&tab=network&layer=conv2")
    until(page, "document.querySelectorAll('.kernelpanel .weight').length === 9")
    assert page.run("[...document.querySelectorAll('.weight')].every(i => i.scrollWidth <= i.clientWidth)")
    assert page.run("document.querySelector('.kernelpanel .unit').textContent") == "weight"
    assert "activation" in page.run("document.querySelector('.large .unit').textContent")
    page.visit(f"{address}/#{TUTORIAL}&tab=network&layer=dropout")
    until(page, "document.querySelector('.explained')?.textContent.includes('training alone')")
    until(page, "document.querySelector('.bars')")
    before = page.run("document.querySelector('.bars').textContent")
    page.run("document.querySelector('[data-key=dropout]').click()")
    until(page, f"document.querySelector('.changed') && document.querySelector('.bars').textContent !== {before!r}")


def test_a_test_image_has_its_label_and_why_starts_with_it(page, address):
    page.visit(f"{address}/#{TUTORIAL}&tab=attribution")
    until(page, "document.querySelector('.sum')")
    label, versus = page.run("['class', 'versus'].map(k => document.querySelector(`[data-key=${k}]`).value)")
    order = page.run("[...document.querySelectorAll('.bars .name')].map(n => n.textContent)")
    assert [label, versus] == order[:2]

    click(page, "[data-key=change]")
    page.run("document.querySelector('dialog input[value=data]').click()")
    until(page, "document.querySelectorAll('dialog .tile').length > 10")
    names = page.run("[...document.querySelectorAll('dialog .tile')].map(t => t.textContent.trim())")
    ranks = page.run(RANKS)
    wrong = next(number for number, rank in enumerate(ranks) if rank > 1)  # nor the runner-up
    page.run(f"document.querySelectorAll('dialog .tile')[{wrong}].click()")
    until(page, "document.querySelector('.truth')")
    assert names[wrong] in page.run("document.querySelector('.truth').textContent")
    until(page, f"document.querySelector('[data-key=versus]')?.value === {names[wrong]!r}")
    assert page.run("document.querySelector('[data-key=class]').value") != names[wrong]


def test_a_drawing_is_classified_while_one_draws(page, address):
    page.visit(f"{address}/#{TUTORIAL}")
    until(page, "document.querySelector('[data-key=change]')")
    click(page, "[data-key=change]")
    page.run("document.querySelector('dialog input[value=drawing]').click()")
    until(page, "document.querySelector('.drawingboard')")
    x, y = page.run(
        "(r => [r.x + r.width / 3, r.y + r.height / 3])"
        "(document.querySelector('.drawingboard').getBoundingClientRect())"
    )
    page.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    for step in range(1, 5):
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 20 * step, y=y, button="left")
    until(page, "document.querySelector('.drawingprediction .verdict')")  # the button is still held
    page.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)
    assert serious_problems(page) == []
    page.run("[...document.querySelectorAll('dialog .main')].pop().click()")
    until(page, "location.hash.includes('drawing')")


def test_the_time_machine_goes_from_epoch_to_epoch(page, address):
    page.visit(f"{address}/#{TUTORIAL}&tab=network&layer=conv1")
    until(page, "document.querySelector('.timemachine a') && document.querySelector('.layer-step')")
    click(page, ".timemachine a")
    until(page, "document.querySelector('.timemachine input') && location.hash.includes('0002.muslin')")
    tab_to(page, "e.matches('.timemachine input')")
    press(page, "ArrowLeft")
    until(page, "document.querySelector('.predictions').textContent.includes('after the last epoch')")
    assert "0001.muslin" in page.run("location.hash")
    assert page.run("document.activeElement.matches('.timemachine input')")
    until(page, "document.querySelectorAll('.kernelpanel .weight').length === 9")
    assert serious_problems(page) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_on_a_phone_the_tabs_are_on_the_first_screen(page, address, language):
    page.resize(390, 780, phone=True)
    page.visit(f"{address}/#{TUTORIAL}&lang={language}&tab=network")
    until(page, "document.querySelector('.verdict') && document.querySelectorAll('.node').length > 10")
    assert page.run("document.querySelector('.tabs').getBoundingClientRect().bottom") < 780
    assert page.run("document.documentElement.scrollWidth") <= 390
