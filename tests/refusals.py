"""Refusals in tests: the code of an error, and its parameters."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from muslin.errors import MuslinError


@contextmanager
def refuses(code: str, kind: type[MuslinError] = MuslinError, **params: Any) -> Iterator[None]:
    """The block raises an error with this code and, among others, these parameters, of which a sentence can be made."""
    with pytest.raises(kind) as error:
        yield
    assert error.value.code == code, error.value
    assert {name: error.value.params.get(name) for name in params} == params
    assert str(error.value)
