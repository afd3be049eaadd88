"""What a person does in the tests' browser: keys, clicks, waiting; and what axe finds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chromium import Page

AXE = Path(__file__).with_name("axe.min.js")
CODES = {
    "Tab": 9,
    "Enter": 13,
    " ": 32,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
}
WAIT_S = 30


def until(page: Page, script: str, wait_s: float = WAIT_S) -> None:
    """Wait until an expression in the page is true."""
    deadline, pause_s = time.monotonic() + wait_s, 0.03
    while not page.run(f"Promise.resolve({script}).then(Boolean)"):
        assert time.monotonic() < deadline, (script, page.console[-3:])
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.3)  # a job of a minute has the processor for itself


def job_once(page: Page, condition: Callable[[dict[str, Any]], Any], wait_s: float = WAIT_S) -> dict[str, Any]:
    """The state of the studio's newest job, as soon as it meets the condition."""
    deadline = time.monotonic() + wait_s
    while True:
        job: dict[str, Any] = page.run("fetch('/api/jobs').then(r => r.json()).then(({ jobs }) => jobs[0])")
        if condition(job):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def press(page: Page, key: str, *, shift: bool = False) -> None:
    text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
    code = CODES.get(key, ord(key[0].upper()))
    named: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
    page.call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
    page.call("Input.dispatchKeyEvent", type="keyUp", **named)
    page.run("new Promise(requestAnimationFrame)")


def type_text(page: Page, text: str) -> None:
    for key in text:
        press(page, key)


def tab_to(page: Page, condition: str, most: int = 80) -> None:
    """Press Tab until the focused element `e` meets `condition`."""
    for _ in range(most):
        press(page, "Tab")
        if page.run(f"(e => {condition})(document.activeElement)"):
            return
    raise AssertionError(f"Tab does not lead to {condition}")


def centre(page: Page, selector: str, index: int = 0) -> tuple[float, float]:
    """The middle of an element, in CSS pixels."""
    element = f"document.querySelectorAll({selector!r})[{index}]"
    x, y = page.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({element}.getBoundingClientRect())")
    return x, y


def point(page: Page, selector: str, index: int = 0) -> tuple[float, float]:
    """Move the pointer to an element."""
    x, y = centre(page, selector, index)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    return x, y


def still(page: Page, selector: str, index: int = 0) -> None:
    """Wait until an element keeps its place for two frames: what loads above it moves it."""
    place = f"JSON.stringify(document.querySelectorAll({selector!r})[{index}].getBoundingClientRect())"
    frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    until(page, f"(async () => {{ const before = {place}; await {frame}; return before === {place}; }})()")


def click(page: Page, selector: str, index: int = 0) -> None:
    still(page, selector, index)
    x, y = point(page, selector, index)
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    page.run("new Promise(requestAnimationFrame)")


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders from outside of the browser."""
    data: dict[str, Any] = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.call("Input.dispatchDragEvent", type=kind, x=400, y=300, data=data)


def serious_problems(page: Page) -> list[list[str]]:
    """What axe finds that keeps people from using the page: rule, impact, element."""
    page.run(AXE.read_text() + ";0")
    found = page.run("axe.run(document).then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))")
    return [each for each in found if each[1] in ("serious", "critical")]
