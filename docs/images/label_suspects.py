"""Draw the first 20 labels of an audit that are most probably wrong, for docs/how-to/audit.md.

    muslin audit clothing-small -o AUDIT
    python docs/images/label_suspects.py AUDIT clothing-small

Under each photo: its place in AUDIT/labels.csv, the given label, the suggested one, and the probability that the given
one is wrong. Writes docs/images/label-suspects.jpg. Needs Pillow.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import muslin
from muslin.data.audit.exclusions import read_sample_rows

OUT = Path(__file__).resolve().parent / "label-suspects.jpg"
COUNT, COLUMNS = 20, 5
SIDE_PX, TEXT_PX, GAP_PX = 190, 40, 8
MAX_BYTES = 400_000


def main(audit: Path, data: str) -> None:
    dataset = muslin.read(data)
    parts = [""] * len(dataset) if dataset.parts is None else list(dataset.parts)
    index_of = {name: index for index, name in enumerate(zip(parts, dataset.ids, strict=True))}
    rows = [row for _, row in read_sample_rows(audit / "labels.csv")][:COUNT]
    size = (COLUMNS * (SIDE_PX + GAP_PX), -(-len(rows) // COLUMNS) * (SIDE_PX + TEXT_PX + GAP_PX))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, row in enumerate(rows):
        left = place % COLUMNS * (SIDE_PX + GAP_PX)
        top = place // COLUMNS * (SIDE_PX + TEXT_PX + GAP_PX)
        photo = Image.fromarray(dataset.images[index_of[row["part"], row["id"]]])
        photo.thumbnail((SIDE_PX, SIDE_PX))
        sheet.paste(photo, (left + (SIDE_PX - photo.width) // 2, top + (SIDE_PX - photo.height) // 2))
        wrong = 100 * float(row["wrong_probability"])
        text = f"{place + 1}. {row['label']}, or {row['other']}?\nwrong with {wrong:.0f} %"
        draw.text((left + 4, top + SIDE_PX + 2), text, fill="black", font=font)
    sheet.save(OUT, quality=82, optimize=True)
    if OUT.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{OUT.name} has {OUT.stat().st_size:,} bytes, more than {MAX_BYTES:,}: make it smaller.")
    print(f"wrote docs/images/{OUT.name} ({OUT.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
