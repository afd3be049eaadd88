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
