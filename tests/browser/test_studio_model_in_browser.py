"""One model from inside, in a real browser: what it saw, its layers, one value's arithmetic, why, and what if."""

import json
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from page_actions import press, serious_problems, tab_to, until

from muslin.data.synthetic import make_garments
from muslin.models.bundle import open_bundle, seal
from muslin.models.predictor import Predictor
from muslin.workflows import train as train_workflow
from small_models import convolving_bundle

MODEL = "page=model&model=run/model.muslin&image=golden:0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    train_workflow.train(
        make_garments(120, seed=1).dataset, settings={"epochs": 1, "batch_size": 40}, out=folder / "run"
    )
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    seal(convolving_bundle(kernels, pixels, activation="Erf"), folder / "curved.muslin")
    return folder


def top(page):
    """The most probable class's share, in percent, as the side shows it."""
    return float(page.run("document.querySelector('.side .verdict .number').textContent").split()[0])


def open_layer(page, name):
    """Go to a layer in the drawing of the network by keys alone: one Tab stop, arrows inside, Enter opens."""
    tab_to(page, "e.matches('.cardbutton')")
    press(page, "Home")
    for _ in range(40):
        if page.run("document.activeElement.dataset.key") == name:
            break
        press(page, "ArrowRight")
    press(page, "Enter")


def test_preprocessing_steps_are_images_with_switches(page, address):
    page.visit(f"{address}/#{MODEL}&tab=preprocessing")
    until(
        page,
        "(images => images.length > 1 && images.every(i => i.complete && i.naturalWidth > 0))"
        "([...document.querySelectorAll('.strip .step img')])",
    )
    assert page.run("document.querySelectorAll('.strip .step [role=switch]').length") > 0


def test_escape_leads_from_a_value_back_to_the_network(page, address):
    page.visit(f"{address}/#{MODEL}&tab=network&unfolded=[]")
    until(page, "document.querySelectorAll('.node').length > 3")
    page.run("[...document.querySelectorAll('.toolbar button')].find(b => b.textContent === 'Unfold all').click()")
    until(page, "[...document.querySelectorAll('.node .title')].some(t => t.textContent === 'block1_conv1')")
    open_layer(page, "block1_conv1")
    until(page, "document.querySelectorAll('.layer-step').length > 0")
    shown, runtime = page.run(
        "[...document.querySelectorAll('.checked strong')].map(s => Number(s.textContent.replace('−', '-')))"
    )
    assert shown == pytest.approx(runtime, rel=1e-4, abs=1e-4)
    tab_to(page, "e.matches('.large .map')")
    press(page, "ArrowDown")
    press(page, "Enter")
    until(page, "location.hash.includes('at=')")
    press(page, "Escape")
    assert "at=" not in page.run("location.hash")
    press(page, "Escape")
    until(page, "document.querySelectorAll('.node').length > 3")


def test_undo_reverts_an_edited_kernel(page, address):
    page.visit(f"{address}/#{MODEL}&tab=network&layer=block1_conv1")
    until(page, "document.querySelectorAll('.kernelpanel input').length > 5 && document.querySelector('.verdict')")
    before = page.run("document.querySelector('.bars').textContent")
    page.run("[...document.querySelectorAll('.large button')].find(b => b.textContent.includes('off')).click()")
    page.run("document.querySelector('.kernelpanel [data-key=zero]').click()")
    until(page, "document.querySelector('.changed') !== null")
    page.run("[...document.querySelectorAll('.tabs a')].pop().click()")
    until(page, "document.querySelectorAll('.edits li').length === 2")
    for _ in range(2):
        page.run("document.querySelector('[data-key=undo]').click()")
    until(page, "document.querySelector('.changed') === null")
    assert page.run("document.querySelector('.bars').textContent") == before


def test_an_edited_kernel_predicts_like_an_edited_file(page, address, folder):
    page.visit(f"{address}/#{MODEL}&tab=network&layer=block1_conv1")
    until(page, "document.querySelectorAll('.kernelpanel [data-key=w-0-1]').length === 1")
    tab_to(page, "e.dataset.key === 'w-0-1'")
    page.run("document.activeElement.select()")
    for key in "-2.5":
        press(page, key)
    press(page, "Tab")
    until(page, "document.querySelector('.changed') !== null")
    shown = page.run(
        """(async () => {
          const [{askOnce}, {inspection}] = [await import('/static/api.js'), await import('/static/state.js')];
          return (await askOnce('/api/predict', {inspection: inspection()})).predictions.label.probabilities;
        })()"""
    )

    (edit,) = json.loads(page.run("new URLSearchParams(location.hash.slice(1)).get('model_edits')"))
    bundle = open_bundle(folder / "run/model.muslin")
    file = onnx.load_from_string(bundle.model)
    tensor = next(t for t in file.graph.initializer if t.name == "block1_conv1.weight")
    weights = numpy_helper.to_array(tensor).copy()
    is_ood = weights[edit["output"], edit["input"]] != np.float32(edit["values"])
    assert np.argwhere(is_ood).tolist() == [[0, 1]]
    weights[edit["output"], edit["input"], 0, 1] = -2.5
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    edited = Predictor(replace(bundle, model=file.SerializeToString()), 1, check=False)
    (answer,) = edited.predict_pixels(bundle.golden_pixels[:1])["label"]
    assert list(shown.values()) == [float(value) for value in answer]


def test_an_unsupported_operator_is_named_and_predicts(page, address):
    curved = "page=model&model=curved.muslin&image=golden:0"
    page.visit(f"{address}/#{curved}&tab=network&layer=activated")
    until(page, "document.querySelector('.verdict') && document.querySelector('.formula p')")
    assert "Erf" in page.run("document.querySelector('.formula').textContent")
    assert "Erf" in page.run("document.querySelector('.note').textContent")
    page.visit(f"{address}/#{curved}&tab=attribution")
    until(page, "document.querySelector('.sum, .error') !== null")


def test_a_model_is_explored_with_the_keyboard_alone(page, address):
    page.visit(f"{address}/")
    until(page, "[...document.querySelectorAll('.rowlinks a')].some(a => a.ariaLabel === 'See inside: run')")
    tab_to(page, "e.ariaLabel === 'See inside: run'")
    press(page, "Enter")
    until(page, "document.querySelector('.strip [role=switch]') !== null")

    tab_to(page, "e.matches('.strip [role=switch]')")
    press(page, " ")
    until(page, "document.querySelector('.changed') && document.querySelector('.step.off')")
    until(page, "document.querySelector('.effect').textContent.startsWith('Switching it on')")
    press(page, " ")
    until(page, "document.querySelector('.changed') === null")

    tab_to(page, "e.matches('.tabs a') && e.textContent === 'Network'")
    press(page, "Enter")
    until(page, "document.querySelectorAll('.node').length > 3")
    open_layer(page, "stem")
    until(page, "document.querySelector('.large .map') && document.querySelector('.layer-step')")
    tab_to(page, "e.matches('.large .map')")
    press(page, "ArrowRight")
    press(page, "Enter")
    until(page, "location.hash.includes('at=')")
    for _ in range(2):
        press(page, "Escape")
    until(page, "document.querySelectorAll('.node').length > 3")

    tab_to(page, "e.matches('.tabs a') && e.textContent === 'Attribution'")
    press(page, "Enter")
    until(page, "document.querySelector('.sum') !== null")
    before = page.run("document.querySelector('.attribution h3').textContent")
    tab_to(page, "e.matches('[data-key=class]')")
    wrong = page.run("[...document.activeElement.options].find(o => !o.selected).textContent")
    for key in wrong[:3]:
        press(page, key)
    until(page, f"document.querySelector('.attribution h3')?.textContent !== {before!r}")
    tab_to(page, "e.closest('.checks') && e.matches('button')")
    press(page, "Enter")
    until(page, "document.querySelectorAll('.test').length >= 3")

    tab_to(page, "e.matches('.tabs a') && e.textContent === 'Edits'")
    press(page, "Enter")
    until(page, "document.querySelector('[data-edit=rotate]') !== null")
    tab_to(page, "e.matches('[data-edit=rotate]')")
    for _ in range(3):
        press(page, "ArrowRight")
    until(page, "unescape(location.hash).includes('rotate')")
    assert json.loads(unquote(page.run("new URLSearchParams(location.hash.slice(1)).get('image_edits')"))) == {
        "rotate": 3
    }
    tab_to(page, "e.matches('.editable button')")
    press(page, "Enter")
    until(page, "document.querySelector('.large .map') && document.querySelector('.formula > *')")
    tab_to(page, "e.matches('.large button') && e.textContent.includes('off')")
    press(page, "Enter")
    until(page, "location.hash.includes('channel_off')")
    tab_to(page, "e.matches('.tabs a') && e.textContent === 'Edits'")
    press(page, "Enter")
    until(page, "document.querySelector('.edits li') !== null")
    tab_to(page, "e.matches('[data-key=undo]')")
    press(page, "Enter")
    until(page, "document.querySelector('.edits li') === null")

    tab_to(page, "e.matches('header a') && e.textContent === 'Kernel playground'")
    press(page, "Enter")
    until(page, "document.querySelector('.arithmetic .big') !== null")
    tab_to(page, "e.matches('.kernelgrid input')")
    page.run("document.activeElement.select()")
    press(page, "7")
    until(page, "unescape(location.hash).includes('[[7,')")


def test_an_edited_image_changes_the_prediction(page, address):
    page.visit(f"{address}/#{MODEL}&tab=edits")
    until(page, "document.querySelector('.verdict') && document.querySelector('[data-edit=invert]')")
    before = page.run("document.querySelector('.bars').textContent")
    page.run("document.querySelector('[data-edit=invert]').click()")
    until(page, "document.querySelector('.changed') !== null")
    assert page.run("document.querySelector('.bars').textContent") != before


def test_an_attribution_adds_up_and_is_checked(page, address):
    page.visit(f"{address}/#{MODEL}&tab=attribution")
    until(page, "document.querySelector('.sum') !== null")
    cells, bias, score = page.run(
        "[...document.querySelectorAll('.sum dd')].map(d => Number(d.textContent.replace('−', '-')))"
    )
    assert page.run("document.querySelector('.stamp').textContent") == "exact"
    assert cells + bias == pytest.approx(score, abs=1e-4)
    page.run("[...document.querySelectorAll('.checks button')].pop().click()")
    until(page, "document.querySelectorAll('.test').length >= 3")


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_axe_finds_no_serious_problem_inside_a_model(page, address, width, scheme, language):
    page.resize(width, 900, phone=width < 500)
    page.prefer(scheme)
    ready = {
        "tab=preprocessing": ".strip .step",
        "tab=network": ".node",
        "tab=network&layer=block1_conv1": ".layer-step",
        "tab=attribution&checks=1": ".test",
        "tab=edits": ".editable li",
    }
    found = []
    for tab, selector in ready.items():
        page.visit(f"{address}/#{MODEL}&lang={language}&{tab}")
        until(page, f"document.querySelector({selector!r}) !== null")
        page.run("new Promise(d => setTimeout(d, 300))")
        found += [(tab, *one) for one in serious_problems(page)]
        assert page.run("document.documentElement.scrollWidth") <= width, tab
    assert found == []
