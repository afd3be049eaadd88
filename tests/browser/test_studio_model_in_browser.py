"""One model from inside, in a real browser: what it saw, its layers, one value's arithmetic, why, and what if."""

import pytest
from chromium import chromium
from test_studio_in_browser import AXE, press, tab_to, until

from muslin import flow
from muslin.data.drawn import draw
from studio_server import running_studio

MODEL = "page=model&model=run/model.muslin&picture=golden:0"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    flow.train(draw(120, seed=1).dataset, settings={"epochs": 1, "batch_size": 40}, out=folder / "run")
    with running_studio(folder) as where:
        yield where


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser):
    browser.said.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    yield browser
    assert browser.said == []


def top(page):
    """The most probable class's share, in percent, as the side shows it."""
    return float(page.run("document.querySelector('.side .verdict .number').textContent").split()[0])


def test_the_steps_to_the_tensor_are_pictures_and_can_be_switched(page, address):
    page.visit(f"{address}/#{MODEL}&tab=saw")
    until(page, "document.querySelectorAll('.strip .step').length >= 2")
    assert page.run(
        "[...document.querySelectorAll('.strip img')].every(i => i.complete && i.naturalWidth > 0)"
    )


def test_from_the_network_to_a_layer_to_a_value_and_back_by_escape(page, address):
    page.visit(f"{address}/#{MODEL}&tab=network")
    until(page, "document.querySelectorAll('.node').length > 3")
    page.run(
        "[...document.querySelectorAll('.toolbar button')].find(b => b.textContent === 'Unfold all').click()"
    )
    until(page, "[...document.querySelectorAll('.node .title')].some(t => t.textContent === 'block1_conv1')")
    tab_to(page, "e.dataset.key === 'block1_conv1'")
    press(page, "Enter")
    until(page, "document.querySelectorAll('.chainstep').length > 0")
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


def test_an_edited_kernel_changes_the_answer_and_undo_brings_it_back(page, address):
    page.visit(f"{address}/#{MODEL}&tab=network&layer=block1_conv1")
    until(
        page,
        "document.querySelectorAll('.kernelpanel input').length > 5 && document.querySelector('.verdict')",
    )
    before = page.run("document.querySelector('.bars').textContent")
    page.run(
        "[...document.querySelectorAll('.large button')].find(b => b.textContent.includes('off')).click()"
    )
    page.run("document.querySelector('.kernelpanel [data-key=zero]').click()")
    until(page, "document.querySelector('.changed') !== null")
    page.run("[...document.querySelectorAll('.tabs a')].pop().click()")
    until(page, "document.querySelectorAll('.edits li').length === 2")
    for _ in range(2):
        page.run("document.querySelector('[data-key=undo]').click()")
    until(page, "document.querySelector('.changed') === null")
    assert page.run("document.querySelector('.bars').textContent") == before


def test_a_changed_picture_changes_the_answer_at_once(page, address):
    page.visit(f"{address}/#{MODEL}&tab=whatif")
    until(page, "document.querySelector('.verdict') && document.querySelector('[data-dial=negate]')")
    before = page.run("document.querySelector('.bars').textContent")
    page.run("document.querySelector('[data-dial=negate]').click()")
    until(page, "document.querySelector('.changed') !== null")
    assert page.run("document.querySelector('.bars').textContent") != before


def test_the_evidence_for_any_class_adds_up_and_is_put_to_the_test(page, address):
    page.visit(f"{address}/#{MODEL}&tab=why")
    until(page, "document.querySelector('.sum') !== null")
    cells, bias, score = page.run(
        "[...document.querySelectorAll('.sum dd')].map(d => Number(d.textContent.replace('−', '-')))"
    )
    assert page.run("document.querySelector('.stamp').textContent") == "exact"
    assert cells + bias == pytest.approx(score, abs=1e-4)
    page.run("[...document.querySelectorAll('.trust button')].pop().click()")
    until(page, "document.querySelectorAll('.test').length >= 3")


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_axe_finds_no_serious_problem_inside_a_model(page, address, width, scheme, language):
    page.resize(width, 900, phone=width < 500)
    page.prefer(scheme)
    ready = {
        "tab=saw": ".strip .step",
        "tab=network": ".node",
        "tab=network&layer=block1_conv1": ".chainstep",
        "tab=why&trust=1": ".test",
        "tab=whatif": ".editable li",
    }
    found = []
    for view, wanted in ready.items():
        page.visit(f"{address}/#{MODEL}&lang={language}&{view}")
        until(page, f"document.querySelector({wanted!r}) !== null")
        page.run("new Promise(d => setTimeout(d, 300))")
        page.run(AXE.read_text() + ";0")
        problems = page.run(
            "axe.run(document).then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))"
        )
        found += [(view, *one) for one in problems if one[1] in ("serious", "critical")]
        assert page.run("document.documentElement.scrollWidth") <= width, view
    assert found == []
