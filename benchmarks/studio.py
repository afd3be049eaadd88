"""How fast does the studio respond in a real browser?

    python benchmarks/studio.py FOLDER [--rounds 12] [--note SENTENCE]

FOLDER holds .muslin files. In a headless Chromium, per model:

- `image`, `layer`, `value`, `attribution`, `edit`: from a click to the frame in which its result is painted, each time
  for something that is not cached;
- `baseline`: a request that needs no network, and the next painted frame: the cost of the machine and its load at that
  moment, to be subtracted from the others before they are compared with a goal;
- `hovering`: tasks over 50 ms (Chromium's long tasks) while the pointer crosses a feature map 120 times, and the time
  until the arithmetic of its last position is shown.

And once: the bytes and the seconds of the home page. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests/browser")]

from chromium import Page, chromium  # noqa: E402

from studio_server import running_studio  # noqa: E402

WAIT_MS = 60_000

TIMED = """
new Promise((done, fail) => {
  const begun = performance.now();
  const painted = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
  const looking = setInterval(() => {
    if (performance.now() - begun > %d) { clearInterval(looking); fail(new Error(%s)); }
    if (%s) { clearInterval(looking); painted(); }
  }, 2);
  %s;
})
"""


def timed(page: Page, act: str, condition: str) -> float:
    """Milliseconds from `act` until `condition` is true in the page and painted."""
    return float(page.run(TIMED % (WAIT_MS, json.dumps(condition), condition, act)))


def until(page: Page, condition: str) -> None:
    timed(page, "0", condition)


def home_page(address: str) -> dict[str, float]:
    """Bytes on the wire and seconds until the models' cards are shown, in a browser with an empty cache."""
    with chromium() as page:
        begun = time.perf_counter()
        page.visit(address + "/")
        until(page, "document.querySelector('.row')")
        seconds = time.perf_counter() - begun
        size = page.run(
            "performance.getEntries().filter(e => 'transferSize' in e && !e.name.includes('/api/'))"
            ".reduce((n, e) => n + e.transferSize, 0)"
        )
        return {"bytes": int(size), "s": round(seconds, 3)}


def steps(page: Page, address: str, model: str, rounds: int) -> dict[str, Any]:
    """Milliseconds of each kind of step in one model."""
    at = f"{address}/#page=model&model={model}"
    page.visit(f"{at}&image=golden:0&tab=network")
    until(page, "document.querySelector('.verdict') && document.querySelector('.node')")
    page.run(
        "import('/static/state.js').then(m => window.set = m.set);"
        f"import('/static/api.js').then(m => m.ask('/api/model', {{model: {model!r}}})).then(m => window.model = m)"
    )
    until(page, "window.set && window.model")
    convolutions = page.run("model.layers.filter(l => l.kernel && l.has_arithmetic).map(l => [l.name, l.shape])")
    kinds = ("baseline", "image", "layer", "value", "attribution", "edit")
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for n in range(rounds):
        listed = "window.back = false; fetch('/api/models').then(r => r.json()).then(() => window.back = true)"
        found["baseline"].append(timed(page, listed, "window.back"))
        name, shape = convolutions[n * len(convolutions) // rounds % len(convolutions)]
        image = 1 + n % 12
        shown = "document.querySelector('.given img').src"
        before = page.run(shown)
        there = f"{shown} !== {before!r} && {shown}.includes('golden%3A{image}&')"
        found["image"].append(timed(page, f"set({{tab: 'preprocessing', layer: '', image: 'golden:{image}'}})", there))
        page.run("set({tab: 'network'})")
        until(page, "document.querySelector('.node')")
        opened = "document.querySelector('.large .map') && document.querySelector('.layer-step')"
        found["layer"].append(timed(page, f"set({{layer: {name!r}, channel: 0, at: []}}, true)", opened))
        row, column = n % shape[1], (n + 1) % shape[2]
        title = "document.querySelector('.formula h3')?.textContent"
        found["value"].append(timed(page, f"set({{at: [{row}, {column}]}}, true)", f"{title} !== {page.run(title)!r}"))
        off = f"set({{model_edits: [{{kind: 'channel_off', layer: {name!r}, channel: 1}}]}})"
        found["edit"].append(timed(page, off, "document.querySelector('.changed')"))
        page.run("set({model_edits: [], layer: '', at: [], tab: 'preprocessing'})")
        until(page, "!document.querySelector('.changed') && !document.querySelector('.sum')")
        label = page.run(f"model.targets[0].classes[{n} % model.targets[0].classes.length]")
        asked = f"set({{tab: 'attribution', label: {label!r}}})"
        found["attribution"].append(timed(page, asked, "document.querySelector('.sum')"))
    return {
        name: {
            "median_ms": round(statistics.median(times), 1),
            "min_ms": round(min(times), 1),
            "max_ms": round(max(times), 1),
            "all_ms": [round(one, 1) for one in times],
        }
        for name, times in found.items()
    }


def hovering(page: Page, address: str, model: str) -> dict[str, Any]:
    name = page.run("model.layers.find(l => l.kernel && l.has_arithmetic).name")
    page.visit(f"{address}/#page=model&model={model}&image=golden:0&tab=network&layer={name}")
    until(page, "document.querySelector('.large .map') && document.querySelector('.layer-step')")
    page.run("new Promise(d => setTimeout(d, 500))")
    page.run(
        "window.long = []; new PerformanceObserver(l => window.long.push(...l.getEntries().map(e => e.duration)))"
        ".observe({type: 'longtask'})"
    )
    box = page.run(
        "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.large .map').getBoundingClientRect())"
    )
    for step in range(120):
        x, y = box[0] + box[2] * (step % 20 + 0.5) / 20, box[1] + box[3] * (step + 0.5) / 120
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        time.sleep(0.008)  # 125 moves a second, as a mouse makes
    place = page.run("document.querySelector('.large .readout').textContent.split(':')[0]")
    row, column = (int(word) for word in place.replace(",", "").split() if word.isdigit())
    words = f"row {row}, column {column}"
    after = timed(page, "0", f"document.querySelector('.formula h3')?.textContent.endsWith({words!r})")
    return {"moves": 120, "long_tasks_ms": page.run("window.long"), "last_value_ms": round(after, 1)}


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("folder", type=Path)
    asking.add_argument("--rounds", type=int, default=12)
    asking.add_argument("--note", default="")
    arguments = asking.parse_args()

    from muslin.studio.model_files import model_rows

    head = start_result("How fast does the studio respond in a real browser?", arguments.note)
    models = {}
    with running_studio(arguments.folder) as address:
        first = home_page(address)
        for row in model_rows(arguments.folder.resolve()):
            with chromium() as page:
                page.resize(1280, 900)
                measured = steps(page, address, row["path"], arguments.rounds)
                models[row["name"]] = measured | {"hovering": hovering(page, address, row["path"])}
    result = {"home_page": first, "models": models}
    short = {name: {step: found.get("median_ms", found) for step, found in one.items()} for name, one in models.items()}
    print(json.dumps({"home_page": first, "median_ms": short}, indent=1))
    write_result(head, result)


if __name__ == "__main__":
    main()
