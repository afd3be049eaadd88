"""The data that a run was trained on, as the studio names them. Anybody may have written a run's record, so its paths
must lie in the studio's folder.
"""

from pathlib import Path
from typing import Any

from muslin.data.registry import DATASETS
from muslin.errors import DataError
from muslin.workflows.run_folder import Run


class RunSource:
    """The data of one run.

    Attributes:
        has_own_test: whether the test set is a data set of its own.
    """

    def __init__(self, root: Path, source: dict[str, Any]) -> None:
        self._root, self._source = root, source
        self.has_own_test = bool(source["test"])

    def check(self) -> None:
        """Refuse a run that names any file outside the studio's folder.

        Raises:
            DataError: it does.
        """
        for path in (self._source["data"], self._source["test"], self._source["read_options"].get("images")):
            check_within(self._root, path)

    def of_part(self, part: str) -> tuple[str, str]:
        """The name of the data set with the images of a part, and what the run puts before their ids.

        Raises:
            DataError: the data are outside the studio's folder.
        """
        if not self.has_own_test:
            return self._name(self._source["data"]), ""
        key, prefix = ("test", "test/") if part == "test" else ("data", "train/")
        return self._name(self._source[key]), prefix

    def _name(self, data: str) -> str:
        check_within(self._root, data)
        return data if data in DATASETS else Path(data).resolve().relative_to(self._root).as_posix()


def source_of(root: Path, run: Run) -> RunSource | None:
    """The data of a run; None where they were in memory.

    Args:
        root: the studio's folder, absolute, with links resolved.

    Raises:
        DataError: the folder is not a run, or its record is damaged.
    """
    source = run.record["source"]  # whose schema is checked with the record's
    return None if source is None else RunSource(root, source)


def check_within(root: Path, name: Any) -> None:
    """Refuse a path outside `root`, also one through a link. Registered data sets, and None, are no paths.

    Raises:
        DataError: it is outside, or there is no such file.
    """
    if name is None or (isinstance(name, str) and name in DATASETS):
        return
    try:
        is_within = Path(name).is_absolute() and Path(name).resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError, TypeError, ValueError):
        is_within = False
    if not is_within:
        raise DataError("data_outside")
