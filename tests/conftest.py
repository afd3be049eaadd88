"""Fixtures that more than one room of tests uses. Worlds that belong to one room live beside its tests."""

import pytest

from muslin.data.drawn import Drawn, draw


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """200 gray 28×28 garments of five classes, all labels right, no duplicates."""
    return draw(200, seed=1)


@pytest.fixture(scope="session")
def drawn_colour() -> Drawn:
    """60 colour garments of 40×40 pixels."""
    return draw(60, seed=2, size_px=40, colour=True)
