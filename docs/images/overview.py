"""Draw the README's picture: a photo and its overlay beside the ranking of the run that segmented it.

python docs/images/overview.py RUN PHOTO OVERLAY PICTURE.png
"""

from __future__ import annotations

import sys

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from nas.runs.run import Run

WIDTH, PHOTO, MARGIN, LINE = 1200, (352, 264), 24, 30
INK, GREY, LIGHT, BLUE = "#1a1a1a", "#777777", "#dddddd", "#0072b2"


def main(run: str, photo: str, overlay: str, picture: str) -> None:
    table = Run(run).ranking
    height = 3 * MARGIN + PHOTO[1] + 16
    canvas = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (file, caption) in enumerate(((photo, "photo"), (overlay, "nas-predict"))):
        left = MARGIN + column * (PHOTO[0] + MARGIN // 2)
        canvas.paste(Image.open(file).convert("RGB").resize(PHOTO, Image.Resampling.LANCZOS), (left, MARGIN))
        write(draw, left, MARGIN + PHOTO[1] + 18, caption, GREY)
    draw_table(draw, table, 2 * MARGIN + 2 * PHOTO[0] + MARGIN // 2, WIDTH - MARGIN)
    canvas.quantize(256, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)


def draw_table(draw: ImageDraw.ImageDraw, table: pd.DataFrame, left: int, right: int) -> None:
    """Draw name, mIoU with interval, and test mIoU of each row between two columns of pixels."""
    columns = ((left, "la"), (right - 118, "ra"), (right, "ra"))
    rows = [("nas-search: ranking", "mIoU", "test"), *map(texts, table.to_dict("records"))]
    for line, (row, wins) in enumerate(zip(rows, [False, *table["winner"]], strict=True)):
        y = MARGIN + line * LINE
        for (x, anchor), text in zip(columns, row, strict=True):
            write(draw, x, y + LINE // 2, text, BLUE if wins else INK if line else GREY, anchor[0] + "m")
        draw.line((left, y + LINE, right, y + LINE), fill=LIGHT)


def texts(row: dict) -> tuple[str, str, str]:
    interval = "" if pd.isna(row["interval"]) else f" ± {row['interval']:.3f}"
    test = "" if pd.isna(row["test_miou"]) else f"{row['test_miou']:.3f}"
    return row["name"] + " (winner)" * row["winner"], f"{row['miou']:.3f}{interval}", test


def write(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, colour: str, anchor: str = "lm") -> None:
    draw.text((x, y), text, fill=colour, font=ImageFont.load_default(17), anchor=anchor)


if __name__ == "__main__":
    main(*sys.argv[1:])
