"""A panel as one picture: cells in rows and columns, a text under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hotstart.data.panel import Panel

CELL_PX, MARGIN_PX, GAP_PX = 128, 10, 4
TEXT_PX = (15, 13, 11)
"""Text sizes, tried from the largest to the smallest."""
LONGEST = 200
"""Characters of a text that are looked at: more than any cell can hold."""
LINES = 3
"""Lines of text under a cell at most; what is longer ends in an ellipsis."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class _Words:
    """The texts of one row, broken into lines that keep within a cell's width."""

    def __init__(self, texts: Sequence[str], cell_px: int) -> None:
        self.cell_px = cell_px
        for px in TEXT_PX:
            self.font = ImageFont.load_default(px)
            self.line_px = px + 3
            self.lines = [wrap(text[:LONGEST], self.font, cell_px) for text in texts]
            if all(len(lines) <= LINES for lines in self.lines):
                return
        self.lines = [_cut(lines, self.font, cell_px) for lines in self.lines]

    @property
    def height_px(self) -> int:
        most = max(map(len, self.lines), default=0)
        return most * self.line_px + GAP_PX if most else 0

    def draw(self, draw: ImageDraw.ImageDraw, top: int, fill: str) -> None:
        for c, lines in enumerate(self.lines):
            for n, line in enumerate(lines):
                at = _left(c, self.cell_px) + self.cell_px / 2, top + n * self.line_px
                draw.text(at, line, fill=fill, font=self.font, anchor="ma")


def draw_sheet(panel: Panel) -> Image.Image:
    """All pictures of `panel` on white, in cells of its size, the longer side filling its cell.

    Small pictures grow by a whole factor, pixel by pixel, so that each pixel can be seen; larger
    ones shrink to the cell and never grow. Texts wrap, then shrink, then are cut: they keep within
    their own cell.
    """
    cell_px = panel.cell_px
    head = _Words(panel.columns, cell_px)
    rows = [
        ([fitted(picture, cell_px) for picture in pictures], _Words(texts, cell_px))
        for pictures, texts in zip(panel.pictures, panel.texts, strict=True)
    ]
    tall = [max((image.height for image in images), default=0) for images, _ in rows]
    heights = [
        image + words.height_px + MARGIN_PX for image, (_, words) in zip(tall, rows, strict=True)
    ]
    columns = max(len(panel.columns), *(len(images) for images, _ in rows), 1)
    height = MARGIN_PX + head.height_px + sum(heights)
    sheet = Image.new("RGB", (_left(columns, cell_px), height), "white")
    draw = ImageDraw.Draw(sheet)
    head.draw(draw, MARGIN_PX, "black")
    top = MARGIN_PX + head.height_px
    for (images, words), image_px, row_px in zip(rows, tall, heights, strict=True):
        for c, image in enumerate(images):
            aside = (cell_px - image.width) // 2, (image_px - image.height) // 2
            sheet.paste(image, (_left(c, cell_px) + aside[0], top + aside[1]))
        words.draw(draw, top + image_px + GAP_PX, "#333333")
        top += row_px
    return sheet


def wrap(text: str, font: Font, width_px: float) -> list[str]:
    """`text` in lines no wider than `width_px`: broken between words, else inside one."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width_px:
            line = longer
            continue
        if line:
            lines.append(line)
        while font.getlength(word) > width_px:
            fits = max(1, _fitting(word, font, width_px))
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line] if line else lines


def fitted(picture: npt.NDArray[np.uint8], cell_px: int = CELL_PX) -> Image.Image:
    """A picture uint8 (H, W, 3) at the size at which a cell shows it."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    longest = max(image.size)
    if longest > cell_px:
        size = [max(1, round(side * cell_px / longest)) for side in image.size]
        return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    factor = cell_px // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _left(column: int, cell_px: int) -> int:
    return MARGIN_PX + column * (cell_px + MARGIN_PX)


def _fitting(word: str, font: Font, width_px: float) -> int:
    """How many characters of `word` fit."""
    return next(n for n in range(len(word), -1, -1) if font.getlength(word[:n]) <= width_px)


def _cut(lines: list[str], font: Font, cell_px: int) -> list[str]:
    if len(lines) <= LINES:
        return lines
    last = lines[LINES - 1]
    return [*lines[: LINES - 1], last[: _fitting(last, font, cell_px - font.getlength("…"))] + "…"]
