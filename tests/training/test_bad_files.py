"""A folder with bad files among good ones trains, and names the bad ones."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from hotstart import api

RNG = np.random.default_rng(0)


def picture(size: int = 48) -> Image.Image:
    coarse = RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def encoded(form: str, image: Image.Image | None = None) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, form)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


def corpus(root: Path) -> tuple[set[str], set[str]]:
    """Fill `root`; returns the names that cannot be read and the odd ones that can."""
    for i in range(200):
        (root / f"good{i:03d}.jpg").write_bytes(encoded("JPEG"))
    bad = {
        "zero.jpg": b"",
        "cut.jpg": encoded("JPEG")[:-200],
        "cut.png": encoded("PNG")[:-300],
        "text.jpg": b"this is not a picture",
        "huge.png": png_claiming(60_000, 60_000),
    }
    turned = picture()
    exif = turned.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", exif=exif)
    deep = Image.fromarray(RNG.integers(0, 65535, (40, 40), dtype=np.uint16))
    frames = io.BytesIO()
    picture().save(frames, "GIF", save_all=True, append_images=[picture(), picture()])
    odd = {
        "png-named.jpg": encoded("PNG"),
        "cmyk.jpg": encoded("JPEG", picture().convert("CMYK")),
        "deep.png": encoded("PNG", deep),
        "palette.png": encoded("PNG", picture().convert("P")),
        "alpha.png": encoded("PNG", picture().convert("RGBA")),
        "animated.gif": frames.getvalue(),
        "turned.jpg": buffer.getvalue(),
        "grey.webp": encoded("WEBP", picture().convert("L")),
    }
    for name, content in {**bad, **odd}.items():
        (root / name).write_bytes(content)
    (root / "notes.txt").write_text("not a picture and not called one")
    return set(bad), set(odd)


def test_trains_and_quarantines_exactly_the_unreadable(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    bad, odd = corpus(photos)
    for number in range(2):  # The second time, the cache is warm.
        run = api.pretrain(
            str(photos), task="rotation", steps=2, batch_size=16, out=tmp_path / f"run{number}"
        )
        with (run / "quarantine.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["path"] for row in rows} == bad
        assert all(row["reason"] for row in rows)
    assert odd
    assert (tmp_path / "run1" / "encoder.safetensors").exists()
