"""What the tests in a real browser share: the browser, and a studio over the folder that a module's `folder` names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, chromium

from studio_server import running_studio


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with running_studio(folder) as where:
        yield where


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """The browser on a desk, in the light, which must have no error when the test ends."""
    browser.console.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    yield browser
    assert browser.console == []
