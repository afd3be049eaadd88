"""Memory does not grow with the number of photos that are predicted."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from muslin.models.bundle import seal
from small_models import small_bundle

PROGRAM = """
import sys
from pathlib import Path
from muslin.models.predictor import Predictor

model, photo, count = sys.argv[1:]
predictor = Predictor.open(model, threads=2)
images = (Path(photo) for _ in range(int(count)))
assert sum(prediction.error is None for prediction in predictor.predict_iter(images)) == int(count)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_is_the_same_for_ten_times_as_many_photos(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 1000), (200, 30, 60)).save(tmp_path / "photo.jpg")
    seal(small_bundle(), tmp_path / "m.muslin")

    def peak_mb(count: int) -> int:
        line = [sys.executable, "-c", PROGRAM, str(tmp_path / "m.muslin"), str(tmp_path / "photo.jpg"), str(count)]
        return int(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout)

    few, many = peak_mb(30), peak_mb(300)  # decoded, 270 more photos are 810 MB
    assert many < few + 60
