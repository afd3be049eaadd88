"""Are products found that are listed twice, and how often are others reported?

    python benchmarks/similar_duplicates.py PHOTOS [--photos N] [--planted N] [--note SENTENCE]

PHOTOS is the folder of clothing-small; each of its photos counts as a product. Some are listed again under another SKU
with a changed photo, as `muslin similar duplicates` promises to find them: up to a tenth cropped off each edge, tilted
by up to 2 degrees, mirrored one time in two, brightness times 0.85 to 1.15, 60 to 100 % of the size, JPEG with quality
60 to 95. A false alarm is a reported pair that was not planted; whether the data set itself shows one thing twice, a
person has to see. Beside muslin: the difference hash of 8×8 bits (D. Krawetz, 2013, as in imagehash) within 10 bits, of
the photo and its mirror image.
Results go to benchmarks/results/.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from results_file import peak_mb, start_result, write_result
from similar_views import opened, photos_of

HASH_BITS = 10


def planted(path: Path, random: np.random.Generator) -> Image.Image:
    image = opened(path).rotate(random.uniform(-2, 2), Image.Resampling.BICUBIC)
    width, height = image.size
    left, top, right, bottom = random.uniform(0.02, 0.1, 4)
    image = image.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.85, 1.15))
    scale = random.uniform(0.6, 1.0)
    image = image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.BICUBIC)
    return ImageOps.mirror(image) if random.random() < 0.5 else image


def write_shop(photos: list[Path], count: int, folder: Path) -> set[tuple[str, str]]:
    """`shop.csv` and its photos in `folder`; the pairs of products that are one."""
    random = np.random.default_rng(0)
    lines, pairs = ["sku,image"], set()
    for number, path in enumerate(photos):
        lines.append(f"A{number:05d},{path.absolute()}")
        if number < count:
            planted(path, random).save(folder / f"{number}.jpg", quality=int(random.integers(60, 96)))
            lines.append(f"B{number:05d},{(folder / f'{number}.jpg').absolute()}")
            pairs.add((f"A{number:05d}", f"B{number:05d}"))
    (folder / "shop.csv").write_text("\n".join(lines) + "\n")
    return pairs


def by_muslin(folder: Path) -> tuple[list[dict[str, Any]], int]:
    from muslin.workflows.similar import BuildOptions, build
    from muslin.workflows.similar_duplicates import find_duplicates

    options = BuildOptions(read_options={"allow_outside": True})
    index = build(folder / "shop.csv", folder / "shop.index", options).index
    started = time.process_time()
    found = find_duplicates(index)
    print(f"{found.compared:,} pairs compared in {time.process_time() - started:.0f} s", flush=True)
    return list(found.to_dict()["pairs"]), found.compared


def by_hash(folder: Path) -> list[tuple[str, str]]:
    names, hashes = [], []
    for line in (folder / "shop.csv").read_text().splitlines()[1:]:
        name, path = line.split(",", 1)
        image = opened(Path(path)).convert("L")
        for shown in (image, ImageOps.mirror(image)):
            pixels = np.asarray(shown.resize((9, 8), Image.Resampling.LANCZOS), np.int16)
            hashes.append((pixels[:, 1:] > pixels[:, :-1]).reshape(-1))
        names.append(name)
    both = np.array(hashes).reshape(len(names), 2, 64)
    found = []
    for one in range(len(names)):
        distances = (both[one + 1 :] != both[one, 0]).sum(axis=2).min(axis=1)
        found += [(names[one], names[one + 1 + place]) for place in np.flatnonzero(distances <= HASH_BITS)]
    return [tuple(sorted(pair)) for pair in found]  # type: ignore[misc]


def counted(found: set[tuple[str, str]], pairs: set[tuple[str, str]], products: int) -> dict[str, Any]:
    from muslin.evaluation.intervals import wilson_interval

    right, alarms = len(found & pairs), found - pairs
    alarmed = len({product for pair in alarms for product in pair})
    return {
        "planted": len(pairs),
        "found": right,
        "found_interval": wilson_interval(right, len(pairs)),
        "false_alarms": len(alarms),
        "products_with_alarms": alarmed,
        "alarmed_per_1000_interval": [1000 * end for end in wilson_interval(alarmed, products)],
        "not_planted": sorted(alarms)[:20],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--photos", dest="count", type=int, default=2000)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    head = start_result(str(__doc__).splitlines()[0], arguments.note)
    photos = photos_of(arguments.photos)[: arguments.count]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = write_shop(photos, arguments.planted, folder)
        started, products = time.process_time(), len(photos) + len(pairs)
        reported, compared = by_muslin(folder)
        found = {(pair["product_a"], pair["product_b"]) for pair in reported}
        rows = {"muslin": counted(found, pairs, products)}
        rows["muslin"] |= {"compared": compared, "processor_s": time.process_time() - started, "peak_mb": peak_mb()}
        shown = {(pair["product_a"], pair["product_b"]): (pair["photo_a"], pair["photo_b"]) for pair in reported}
        for pair in sorted(found - pairs):
            print(pair, [Path(photo).name for photo in shown[pair]], flush=True)
        rows["difference hash"] = counted(set(by_hash(folder)), pairs, products)
    for way, row in rows.items():
        print(way, row)
    write_result(head, {"products": products, "ways": rows})


if __name__ == "__main__":
    main()
