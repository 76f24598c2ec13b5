"""Video files: every format, every frame at its time, every kind of damage with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hotstart.data.headers import Unreadable
from hotstart.data.index import VIDEO_SUFFIXES, walk
from hotstart.data.quarantine import Quarantined
from hotstart.data.video import VideoFiles
from hotstart.data.videos import Frame, Sound
from tests.data.films import EVEN, FORMATS, film, number, sound_alone

UNEVEN = (0, 40, 80, 300, 340, 700, 705, 1000)


def source(folder: Path) -> VideoFiles:
    return VideoFiles(walk(folder, VIDEO_SUFFIXES | {".gif"}), str(folder))


def read(
    folder: Path, short_side: int = 48
) -> tuple[list[Frame], npt.NDArray[np.int16], list[Quarantined]]:
    """Frames, sound and remarks of the only video in `folder`."""
    files = source(folder)
    assert len(files) == 1
    pieces = list(files.read(0, short_side))
    heard = [piece.samples for piece in pieces if isinstance(piece, Sound)]
    return (
        [piece for piece in pieces if isinstance(piece, Frame)],
        np.concatenate(heard) if heard else np.empty(0, np.int16),
        [piece for piece in pieces if isinstance(piece, Quarantined)],
    )


@pytest.mark.parametrize("name", FORMATS)
def test_format_gives_every_frame_at_its_time(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / name, codec=FORMATS[name])
    frames, _, problems = read(tmp_path)
    assert [number(frame.pixels) for frame in frames] == list(range(12))
    assert not problems
    times = np.array([frame.seconds for frame in frames])
    np.testing.assert_allclose(times - times[0], np.array(EVEN) / 1000, atol=1e-3)
    assert frames[0].pixels.shape == (48, 96, 3)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", FORMATS)
def test_frames_that_are_sought_are_those_that_were_read(name: str, tmp_path: Path) -> None:
    film(tmp_path / name, codec=FORMATS[name])
    frames, _, _ = read(tmp_path, 24)
    for chosen in ([11], [0], [3, 4, 9], [7, 2]):
        found = source(tmp_path).frames(0, 24, [frames[k].stamp for k in chosen])
        for k, pixels in zip(chosen, found, strict=True):
            np.testing.assert_array_equal(pixels, frames[k].pixels)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "mpeg4")])
def test_variable_frame_rate(name: str, codec: str, tmp_path: Path) -> None:
    film(tmp_path / name, UNEVEN, codec)
    frames, _, _ = read(tmp_path)
    assert [number(frame.pixels) for frame in frames] == list(range(8))
    times = np.array([frame.seconds for frame in frames])
    np.testing.assert_allclose(times - times[0], np.array(UNEVEN) / 1000, atol=1e-3)


def test_reduced_and_measured(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    frames, _, _ = read(tmp_path, 24)
    assert frames[3].pixels.shape == (24, 48, 3)
    measured = source(tmp_path).measure(0)
    assert (measured.width, measured.height, measured.frames) == (96, 48, 12)
    assert source(tmp_path).peek(0) == (96, 48)


def test_phone_video_is_turned_upright(tmp_path: Path) -> None:
    """The matrix of an MP4's track header says how to turn it (ISO/IEC 14496-12, 8.3.2)."""
    path = film(tmp_path / "a.mp4")
    plain, _, _ = read(tmp_path)
    one, whole = (1 << 16).to_bytes(4), (1 << 30).to_bytes(4)
    none, minus = bytes(4), (-(1 << 16) & 0xFFFFFFFF).to_bytes(4)
    straight = one + none * 3 + one + none * 3 + whole
    clockwise = none + one + none + minus + none * 4 + whole
    data = path.read_bytes()
    header = data.index(b"tkhd")
    at = data.index(straight, header)
    path.write_bytes(data[:at] + clockwise + data[at + len(straight) :])
    turned, _, _ = read(tmp_path)
    np.testing.assert_array_equal(turned[5].pixels, np.rot90(plain[5].pixels, -1))


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("a.mp4", {}, 0.6),
        ("a.mp4", {"movflags": "+faststart"}, 0.6),
        ("a.mp4", {"movflags": "+faststart"}, 0.98),
        ("a.mov", {}, 0.98),
        ("a.mkv", {}, 0.6),
        ("a.avi", {}, 0.6),
        ("a.gif", {}, 0.6),
        ("a.mp4", {}, 0.001),
    ],
)
def test_truncated_is_unreadable(
    name: str, options: dict[str, str], share: float, tmp_path: Path
) -> None:
    path = film(tmp_path / name, codec="gif" if name.endswith("gif") else "mpeg4", options=options)
    read(tmp_path)
    cut(path, share)
    with pytest.raises(Unreadable, match=r"^(truncated|not a video)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: the file has 0 bytes"),
        (b"not a video at all\n" * 30, "not a video"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://localhost/secret.ts\n", "not a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video"),
        (b"\x1aE\xdf\xa3" + bytes(range(256)), "damaged"),
        (b"\0\0\0\x18ftypisom" + bytes(12), "truncated: the table"),
    ],
)
def test_what_is_no_video_is_told(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(Unreadable, match=reason):
        read(tmp_path)


def test_no_pictures_in_it(tmp_path: Path) -> None:
    sound_alone(tmp_path / "a.mp4")
    with pytest.raises(Unreadable, match="no video stream"):
        read(tmp_path)


def test_damage_in_the_middle_is_unreadable(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", codec="ffv1")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="damaged"):
        read(tmp_path)


def test_sound_at_its_time(tmp_path: Path) -> None:
    """A click half a second after a sound that itself begins a fifth of a second late."""
    sound = np.zeros(16_000, np.int16)
    sound[8000] = 30_000
    film(tmp_path / "a.mkv", sound=sound, sound_at=0.2)
    pieces = [piece for piece in source(tmp_path).read(0, 48) if isinstance(piece, Sound)]
    assert pieces[0].seconds == pytest.approx(0.2, abs=1e-3)
    heard = np.concatenate([piece.samples for piece in pieces])
    np.testing.assert_array_equal(heard, sound)
    np.testing.assert_array_equal(source(tmp_path).sound(0), sound)


def test_sound_of_another_rate_becomes_16_khz(tmp_path: Path) -> None:
    tone = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)).astype(np.int16)
    film(tmp_path / "a.mp4", sound=tone)
    _, heard, _ = read(tmp_path)
    assert 15_000 < len(heard) < 18_500
    spectrum = np.abs(np.fft.rfft(heard[2000:10_000].astype(float)))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=4)
