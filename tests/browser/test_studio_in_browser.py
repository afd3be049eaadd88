"""The studio in a real browser, as a person uses it: by pointer, by keys alone, on a phone, in two languages."""

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from page_actions import press, serious_problems, tab_to, until
from PIL import Image

from muslin.models.bundle import seal
from small_models import convolving_bundle
from studio_server import running_studio

SIDE = 20
LEARNED = np.array([[[[0.5, -1.0, 0.25], [0.0, 2.0, 0.0], [1.0, 0.0, -0.75]]]], np.float32)
CLOSE = "document.querySelectorAll('dialog').forEach(d => d.close())"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    inside = tmp_path_factory.mktemp("studio") / "shop"
    inside.mkdir()
    random = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 1), np.uint8)
    seal(convolving_bundle(LEARNED, random), inside / "garments.muslin")
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 30, 3), np.uint8)).save(inside / "a photo.png")
    (inside / "torn.jpg").write_bytes(b"\xff\xd8\xff no more")
    return inside


@pytest.fixture
def page(browser, address, tmp_path):
    """A desktop browser with the light theme; downloads go to tmp_path. Afterwards: all requests went to the studio."""
    browser.console.clear()
    browser.requested.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    yield browser
    own = (f"{address}/", "blob:", "data:", "about:")
    assert [a for a in browser.requested if not a.startswith(own)] == []


def open_playground(page, address, more=""):
    page.visit(f"{address}/#page=playground{more}")
    until(page, "document.querySelector('.arithmetic .big') !== null")


def choose(page, label, value):
    page.run(
        f"""(() => {{
          const field = [...document.querySelectorAll('label.field')].find(l => l.firstChild.textContent === {label!r});
          const input = field.querySelector('select, input');
          input.value = {value!r};
          input.dispatchEvent(new Event('input', {{bubbles: true}}));
          input.dispatchEvent(new Event('change', {{bubbles: true}}));
        }})()"""
    )


def table(page, figure):
    """The number table of one map as floats; 16 rows and columns at most."""
    page.run(f"document.querySelectorAll('.mapfigure')[{figure}].querySelector('details').open = true")
    cells = f"[...document.querySelectorAll('.mapfigure')[{figure}].querySelectorAll('.values tbody tr')]"
    until(page, f"{cells}.length > 0")
    rows = page.run(
        f"{cells}.map(r => [...r.querySelectorAll('td')].map(c => Number(c.textContent.replace('−', '-'))))"
    )
    return np.array(rows)


def saved(folder: Path, name):
    deadline = time.monotonic() + 20
    while not (folder / name).exists() or not (folder / name).stat().st_size:
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    return folder / name


def save_as(page, figure, kind):
    page.run(
        f"[...document.querySelectorAll('.mapfigure')[{figure}].querySelectorAll('.savers button')]"
        f".find(b => b.textContent === {kind!r}).click()"
    )


def convolved(image, kernel, stride=1, padding=0):
    """The convolution by definition, in float64."""
    padded = np.pad(image.astype(float), padding)
    windows = np.lib.stride_tricks.sliding_window_view(padded, np.shape(kernel))[::stride, ::stride]
    return (windows * np.asarray(kernel)).sum((2, 3))


def test_the_home_page_lists_models_and_opens_one(page, address):
    page.visit(f"{address}/")
    until(page, "document.querySelector('.row .thumbnails img') !== null")
    assert page.console == []
    page.run("document.querySelector('.row a').click()")
    until(page, "document.querySelector('.strip .step') !== null")
    assert "model=garments.muslin" in page.run("location.hash")


def test_the_saved_result_is_the_convolution_by_definition(page, address, folder, tmp_path):
    from muslin.models.bundle import open_bundle

    open_playground(page, address, "&stride=2&padding=2")
    choose(page, "Named kernels", "sobelY")
    save_as(page, 1, ".npy")
    image = open_bundle(folder / "garments.muslin").golden_pixels[0, :, :, 0]
    expected = convolved(image, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 2, 2)
    assert expected.min() < 0
    np.testing.assert_allclose(np.load(saved(tmp_path, "result.npy")), expected, atol=1e-3)


def test_every_weight_can_be_edited_and_the_result_follows(page, address, folder, tmp_path):
    from muslin.models.bundle import open_bundle

    open_playground(page, address)
    page.run(
        """(() => {
          const field = document.querySelector('.kernelgrid input');
          field.value = '3.5';
          field.dispatchEvent(new Event('input', {bubbles: true}));
        })()"""
    )
    assert page.run("document.querySelector('select[name], .controls select').value") == "custom"
    save_as(page, 1, "CSV")
    rows = np.loadtxt(saved(tmp_path, "result.csv"), delimiter=",")
    image = open_bundle(folder / "garments.muslin").golden_pixels[0, :, :, 0]
    np.testing.assert_allclose(rows, convolved(image, [[3.5, 0, 1], [-2, 0, 2], [-1, 0, 1]]), atol=1e-3)
    link = page.run("location.href")
    page.visit(link)
    until(page, "document.querySelector('.kernelgrid input')?.value === '3.5'")


def test_a_trained_kernel_can_be_loaded(page, address, folder):
    open_playground(page, address)
    choose(page, "Learned by the model", "first")
    until(page, "document.querySelector('#learned button') !== null")
    page.run("document.querySelector('#learned button').click()")
    values = page.run("[...document.querySelectorAll('.kernelgrid input')].map(i => Number(i.value))")
    assert values == LEARNED.ravel().tolist()


def test_the_arithmetic_is_of_the_value_under_the_pointer(page, address):
    open_playground(page, address)
    box = page.run("(r => [r.x, r.y, r.width, r.height])(document.querySelectorAll('.map')[1].getBoundingClientRect())")
    x, y = box[0] + box[2] * 4.5 / 18, box[1] + box[3] * 6.5 / 18  # row 7, column 5 of 18 × 18
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    until(page, "document.querySelector('.arithmetic h2').textContent.includes('row 7, column 5')")
    sum_, products, window = page.run(
        """(() => {
          const n = t => Number(t.textContent.replace('−', '-'));
          const tables = [...document.querySelectorAll('.arithmetic .cells')]
            .map(t => [...t.querySelectorAll('td')].map(n));
          return [n(document.querySelector('.arithmetic .big')), tables[2], tables[0]];
        })()"""
    )
    assert sum(products) == sum_
    np.testing.assert_allclose(np.array(window) * [-1, 0, 1, -2, 0, 2, -1, 0, 1], products)
    assert table(page, 1)[6, 4] == pytest.approx(sum_, abs=0.5)


def test_relu_and_pooling_follow_the_convolution(page, address, folder, tmp_path):
    from muslin.models.bundle import open_bundle

    open_playground(page, address)
    page.run("document.querySelector('[data-key=relu]').click()")
    page.run("document.querySelector('input[name=pool][value=max]').click()")
    until(page, "document.querySelectorAll('.mapfigure').length === 4")
    save_as(page, 3, ".npy")
    image = open_bundle(folder / "garments.muslin").golden_pixels[0, :, :, 0]
    positive = np.maximum(convolved(image, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), 0)
    expected = positive.reshape(9, 2, 9, 2).max((1, 3))
    np.testing.assert_allclose(np.load(saved(tmp_path, "pooled.npy")), expected, atol=1e-3)
    page.run("document.querySelectorAll('.map')[3].focus()")
    press(page, "Home")
    until(page, "document.querySelector('.arithmetic .winner')")
    assert page.run("Number(document.querySelector('.arithmetic .big').textContent)") == expected[0, 0]


def layouts(page):
    """How often the browser has computed where things are."""
    metrics = page.call("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "LayoutCount")


def test_hovering_requests_and_paints_nothing_anew(page, address):
    open_playground(page, address)
    page.run(
        """(() => {
          window.painted = 0;
          for (const name of ['putImageData', 'drawImage']) {
            const paint = CanvasRenderingContext2D.prototype[name];
            CanvasRenderingContext2D.prototype[name] = function (...given) {
              window.painted++;
              paint.apply(this, given);
            };
          }
        })()"""
    )
    choose(page, "Named kernels", "sobelY")
    until(page, "window.painted > 0")
    page.call("Performance.enable")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.run("window.painted = 0")
    page.requested.clear()
    box = page.run("(r => [r.x, r.y, r.width, r.height])(document.querySelectorAll('.map')[1].getBoundingClientRect())")
    before, moves = layouts(page), 60
    for step in range(moves):
        x, y = box[0] + box[2] * (step % 18 + 0.5) / 18, box[1] + box[3] * (step // 18 + 0.5) / 18
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    until(page, "document.querySelector('.arithmetic h2').textContent.includes('row 4, column 6')")
    assert page.run("window.painted") == 0
    assert page.requested == []
    assert layouts(page) - before <= 3 * moves


def dialog(page, way):
    page.run("document.querySelector('.chosen button').click()")
    page.run(f"document.querySelector('dialog input[value={way}]').click()")


def test_files_pasted_images_and_folder_images_are_taken(page, address, folder, tmp_path):
    open_playground(page, address)
    dialog(page, "file")
    until(page, "document.querySelector('dialog input[type=file]') !== null")
    node = page.call("Runtime.evaluate", expression="document.querySelector('#file')")["result"]["objectId"]
    photo = tmp_path / "given.png"
    Image.fromarray(np.full((12, 16, 3), (10, 200, 90), np.uint8)).save(photo)
    page.call("DOM.setFileInputFiles", files=[str(photo)], objectId=node)
    until(
        page,
        "location.hash.includes('upload') && document.querySelector('.controls .number').textContent === '16 × 12'",
    )
    assert page.run("document.querySelectorAll('dialog').length") == 0

    page.run("document.querySelector('.chosen button').click()")
    until(page, "document.querySelectorAll('dialog .tile').length === 3")  # the model's examples come first
    file = io.BytesIO()
    Image.new("L", (9, 7), 99).save(file, "PNG")
    page.run(
        f"""(() => {{
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array({list(file.getvalue())})], 'p.png', {{type: 'image/png'}}));
          const pasted = new ClipboardEvent('paste', {{clipboardData: data, bubbles: true}});
          document.querySelector('dialog').dispatchEvent(pasted);
        }})()"""
    )
    until(page, "document.querySelectorAll('.controls .number')[0].textContent === '9 × 7'")

    dialog(page, "folder")
    until(page, "document.querySelectorAll('dialog .tile').length === 2")
    page.run("document.querySelector('dialog .tile').click()")
    until(page, "document.querySelectorAll('.controls .number')[0].textContent === '30 × 24'")
    page.run("document.querySelector('input[value=channels]').click()")
    assert page.run("document.querySelectorAll('.pairview').length") == 3


def test_an_upload_that_is_no_image_is_refused(page, address, tmp_path):
    open_playground(page, address)
    dialog(page, "file")
    until(page, "document.querySelector('dialog input[type=file]') !== null")
    node = page.call("Runtime.evaluate", expression="document.querySelector('#file')")["result"]["objectId"]
    (tmp_path / "page.jpg").write_text("<html>no</html>")
    page.call("DOM.setFileInputFiles", files=[str(tmp_path / "page.jpg")], objectId=node)
    until(page, "document.querySelector('dialog .error').textContent !== ''")
    page.run(CLOSE)


def test_the_playground_works_with_the_keyboard_alone(page, address):
    page.visit(f"{address}/")
    until(page, "document.querySelector('.row a') !== null")
    tab_to(page, "e.matches('.offers a[href*=playground]')")
    press(page, "Enter")
    until(page, "document.querySelector('.arithmetic .big') !== null")
    tab_to(page, "e.textContent === 'Change image'")
    press(page, "Enter")
    tab_to(page, "e.value === 'examples'")
    for _ in range(5):
        press(page, "ArrowRight")
    until(page, "document.querySelector('.drawingboard') !== null")
    tab_to(page, "e.matches('.drawingboard')")
    for _ in range(6):
        press(page, "ArrowRight", shift=True)
    tab_to(page, "e.textContent === 'Use the drawing'")
    press(page, "Enter")
    until(page, "location.hash.includes('drawing')")
    until(page, f"document.querySelectorAll('.controls .number')[0].textContent === '{SIDE} × {SIDE}'")
    tab_to(page, "e.matches('.kernelgrid input')")
    page.run("document.activeElement.select()")
    press(page, "7")
    assert json.loads(page.run("new URLSearchParams(location.hash.slice(1)).get('kernel')"))[0][0] == 7
    tab_to(page, "e.matches('.map') && e.closest('section').textContent.startsWith('Result')")
    before = page.run("document.querySelector('.arithmetic h2').textContent")
    press(page, "ArrowRight")
    press(page, "ArrowDown")
    assert page.run("document.querySelector('.arithmetic h2').textContent") != before
    until(page, "document.querySelector('[role=status]').textContent.startsWith('row')")
    tab_to(page, "e.matches('summary')")
    press(page, "Enter")
    until(page, "document.querySelector('.values') !== null")


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [
        (390, "dark", "en"),
        (1280, "light", "zh"),
        pytest.param(1280, "light", "en", marks=pytest.mark.long),
        pytest.param(390, "dark", "zh", marks=pytest.mark.long),
    ],
)
def test_axe_finds_no_serious_problem_on_any_page(page, address, width, scheme, language):
    page.resize(width, 900, phone=width < 500)
    page.prefer(scheme)
    states = []

    def check(name):
        states.append((name, serious_problems(page)))
        assert page.run("document.documentElement.scrollWidth") <= width, name

    page.visit(f"{address}/#lang={language}")
    until(page, "document.querySelector('.row .thumbnails') !== null")
    page.run("document.querySelector('.row .thumbnails').scrollIntoView()")  # what is out of sight is not loaded
    until(page, "document.querySelector('.row .thumbnails img') !== null")
    check("home")
    open_playground(page, address, f"&lang={language}&layer=first")
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    until(page, "document.querySelectorAll('.values').length === 2")
    check("playground")
    page.run("document.querySelector('.chosen button').click()")
    for way in ("examples", "folder", "file", "camera", "drawing"):
        page.run(f"document.querySelector('dialog input[value={way}]').click()")
        page.run("new Promise(d => setTimeout(d, 150))")
        check(way)
    page.run(CLOSE)
    page.run("document.querySelector('.top button').click()")
    check("keys")
    page.run(CLOSE)
    open_playground(page, address, f"&lang={language}&image=file:a photo.png&model=garments.muslin&colour=channels")
    check("per channel")
    open_playground(page, address, f"&lang={language}&relu=1&pool=mean")
    check("relu and pooling")
    page.visit(f"{address}/#page=playground&lang={language}&model=garments.muslin&image=upload:gone")
    until(page, "document.querySelector('.error:not(:empty)') !== null")
    check("image gone")
    assert [state for state in states if state[1]] == []


def prefer_in_page(page, number, value):
    """Choose in the header: the language (0) or the theme (1)."""
    page.run(
        f"(s => {{ s.value = {value!r}; s.dispatchEvent(new Event('change')); }})"
        f"(document.querySelectorAll('.pick select')[{number}])"
    )


def test_language_and_theme_are_remembered(page, address):
    background = "getComputedStyle(document.body).backgroundColor"
    chinese = "document.querySelector('h1')?.textContent === '这个文件夹里有什么'"
    page.visit(f"{address}/")
    until(page, "document.querySelector('h1') !== null && document.documentElement.lang === 'en'")
    light = page.run(background)
    try:
        prefer_in_page(page, 0, "zh")
        until(page, chinese)
        prefer_in_page(page, 1, "dark")
        dark = page.run(background)
        page.visit(f"{address}/")  # without the language in its address
        until(page, chinese)
        assert page.run("document.documentElement.lang") == "zh-Hans"
        assert page.run(background) == dark != light
        prefer_in_page(page, 1, "light")
        assert page.run(background) == light
    finally:
        page.run("localStorage.clear()")


def test_a_folder_without_models_still_has_the_playground(browser, tmp_path):
    with running_studio(tmp_path) as where:
        browser.visit(f"{where}/")
        until(browser, "document.querySelector('main a[href*=\"page=playground\"]')")
        browser.run("document.querySelector('main a[href*=\"page=playground\"]').click()")
        until(browser, "document.querySelector('.arithmetic .big') !== null")
