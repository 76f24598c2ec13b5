"""Optical flow: exact on what is known, judged where it cannot be, read from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hotstart.data.flow import Field, optical_flow, read_flo, returns
from hotstart.errors import DataError
from tests.pretext.moving import moving

Picture = npt.NDArray[np.uint8]


def end_point_error(found: Field, truth: Field) -> npt.NDArray[np.float64]:
    """(H, W), px."""
    return np.asarray(np.linalg.norm(found.astype(np.float64) - truth, axis=2))


def write_flo(path: Path, flow: Field) -> Path:
    height, width = flow.shape[:2]
    path.write_bytes(b"PIEH" + np.array([width, height], "<i4").tobytes() + flow.tobytes())
    return path


def test_moving_textures_are_followed() -> None:
    """A disc over a ground, each on its own way, at most 3 px; and cover is noticed."""
    clips = moving(8, size=64, frames=2, ground_px=1.0, disc_px=(1.0, 2.0))
    errors, sure = [], []
    for pixels, flow in zip(clips.pixels, clips.flow, strict=True):
        found, known = optical_flow(pixels[0], pixels[1])
        assert found.shape == (64, 64, 2)
        assert found.dtype == np.float32
        errors.append(end_point_error(found, np.moveaxis(flow[0], 0, 2)))
        sure.append(known)
    error, known = np.stack(errors), np.stack(sure)
    assert error.mean() < 0.35  # px; the motion is 1.5 on average
    assert known.mean() > 0.7
    assert error[known].mean() < 0.5 * error[~known].mean()


@pytest.mark.parametrize("shape", [(16, 20), (9, 40), (33, 21), (8, 8), (3, 40)])
def test_small_and_odd_pictures_have_flow(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    found, known = optical_flow(picture, picture)
    assert found.shape == (*shape, 2)
    assert np.abs(found).max() < 0.05
    assert known.all()


def test_a_cut_is_not_known() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        rng.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2)
    )
    _, known = optical_flow(one, other)
    assert known.mean() < 0.35


def test_there_and_back_equals_the_paper() -> None:
    """Sundaram 2010, equation 5, pixel by pixel at whole pixels."""
    rng = np.random.default_rng(1)
    there, back = (rng.integers(-2, 3, (12, 15, 2)).astype(np.float32) for _ in range(2))
    found = returns(there, back)
    for y in range(12):
        for x in range(15):
            u, v = there[y, x].astype(int)
            if not (0 <= x + u < 15 and 0 <= y + v < 12):
                assert not found[y, x]
                continue
            met = back[y + v, x + u]
            error = ((there[y, x] + met) ** 2).sum()
            allowed = 0.01 * ((there[y, x] ** 2).sum() + (met**2).sum())
            assert found[y, x] == (error < allowed + 0.5 * (12 / 384) ** 2)


def test_flo_files_are_read(tmp_path: Path) -> None:
    flow = np.random.default_rng(2).normal(0, 5, (5, 7, 2)).astype(np.float32)
    path = write_flo(tmp_path / "a.flo", flow)
    np.testing.assert_array_equal(read_flo(path), flow)
    whole = path.read_bytes()
    for content, said in (
        (b"", "no .flo file"),
        (b"PIEX" + whole[4:], "no .flo file"),
        (whole[:-4], "cut short"),
        (whole[:12], "cut short"),
        (whole[:4] + np.array([-7, 5], "<i4").tobytes() + whole[12:], "damaged"),
        (whole[:4] + np.array([2**30, 2**30], "<i4").tobytes() + whole[12:], "damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_flo(path)


@pytest.mark.parametrize(("side", "most"), [(384, 0.36), (96, 0.36), (48, 0.4)])
def test_end_point_error_on_flying_chairs(side: int, most: float, geometry: Path) -> None:
    """Five pairs whose flow is exact, as large as they are and as small as the cache keeps them.

    most: mean end-point error over that of zero flow.
    """
    errors, zero, sure = [], [], []
    for path in sorted((geometry / "flow").glob("*.flo")):
        truth = read_flo(path)
        size = (round(truth.shape[1] * side / truth.shape[0]), side)
        truth = np.asarray(
            cv2.resize(truth, size, interpolation=cv2.INTER_AREA) * (side / 384), np.float32
        )
        pair = [
            np.asarray(Image.open(str(path).replace("flow.flo", f"img{k}.png")).convert("RGB"))
            for k in (0, 1)
        ]
        first, second = (
            np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            for picture in pair
        )
        found, known = optical_flow(first, second)
        errors.append(end_point_error(found, truth))
        zero.append(np.hypot(truth[..., 0], truth[..., 1]))
        sure.append(known)
    error, known, length = np.stack(errors), np.stack(sure), np.stack(zero)
    print(
        f"{side} px: {error.mean():.2f} px, zero flow {length.mean():.2f}, "
        f"where known {error[known].mean():.2f} ({known.mean():.0%})"
    )
    assert len(errors) == 5
    assert error.mean() < most * length.mean()
    assert error[known].mean() < 0.5 * error.mean()
    assert known.mean() > 0.65
