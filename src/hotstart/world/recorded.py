"""Recordings of other engines: folders that CARLA or AirSim wrote, read as this world's are.

CARLA (0.9, https://carla.readthedocs.io/en/latest/ref_sensors/): depth as a picture whose three
channels are one number of 24 bits, (R + 256 G + 65536 B) / (2^24 - 1), times 1000 m; segmentation
as the tag of each pixel in the red channel; a camera's pose as Unreal has it: x forward, y right,
z up, left-handed, degrees.

AirSim (https://microsoft.github.io/AirSim/image_apis/): depth as PFM of float32 metres (planar or
perspective); `airsim_rec.txt`, a table separated by tabs with position (north, east, down) and
quaternion; images in `images/`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.errors import DataError
from hotstart.world.scene import Numbers, turned

CARLA_FARTHEST_METRES = 1000.0
POSE_COLUMNS = ("POS_X", "POS_Y", "POS_Z", "Q_W", "Q_X", "Q_Y", "Q_Z")
# From AirSim's forward, right, down, and from Unreal's forward, right, up, to right, down, forward.
AIRSIM_AXES = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
UNREAL_AXES = np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]])


@dataclass(frozen=True)
class Recorded:
    """One frame of a recording.

    image: uint8 (H, W, 3), RGB; depth: float32 (H, W), metres, infinite in the sky, or None
    tags: uint8 (H, W), the engine's own codes of classes, or None
    pose: float64 (4, 4), from the camera's axes (right, down, forward) to the world's, which are
    those of the camera's at rest: metres; or None
    """

    name: str
    image: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    tags: npt.NDArray[np.uint8] | None
    pose: Numbers | None


def carla_depth(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Metres (H, W) along the camera's axis from CARLA's RGB depth (H, W, 3), uint8."""
    red, green, blue = (picture[..., c].astype(np.float64) for c in range(3))
    share = (red + 256 * green + 65536 * blue) / (2**24 - 1)
    metres = share * CARLA_FARTHEST_METRES
    return np.where(share >= 1, np.inf, metres).astype(np.float32)


def carla_pose(x: float, y: float, z: float, pitch: float, yaw: float, roll: float) -> Numbers:
    """Pose (4, 4) of a camera from a `carla.Transform`: metres and degrees, left-handed.

    Unreal turns by roll about x, then pitch about y, then yaw about z; pitch lifts the nose.
    """
    # Seen with z up and left-handed, positive yaw turns right, positive pitch up.
    turn = turned(2, np.radians(yaw)) @ turned(1, -np.radians(pitch)) @ turned(0, -np.radians(roll))
    return _pose(UNREAL_AXES, turn, np.array([x, y, z]))


def airsim_pose(position: Numbers, quaternion: Numbers) -> Numbers:
    """Pose (4, 4) from north, east, down in metres (3,) and w, x, y, z (4,)."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return _pose(AIRSIM_AXES, turn, position)


def _pose(axes: Numbers, turn: Numbers, position: Numbers) -> Numbers:
    pose = np.eye(4)
    pose[:3, :3] = axes @ turn @ axes.T
    pose[:3, 3] = axes @ position
    return pose


def read_pfm(path: Path) -> npt.NDArray[np.float32]:
    """A PFM of one channel -> float32 (H, W), first row on top. Raises `DataError`."""
    content = path.read_bytes()
    parts = content.split(b"\n", 3)
    try:
        kind, (width, height), scale = parts[0], map(int, parts[1].split()), float(parts[2])
        order = "<f4" if scale < 0 else ">f4"
        values = np.frombuffer(parts[3], order, width * height)
    except (ValueError, IndexError):
        raise DataError(f"{path} is damaged, or no PFM of one channel") from None
    if kind.strip() != b"Pf":
        raise DataError(f"{path} is no PFM of one channel, which begins with 'Pf'")
    return values.reshape(height, width)[::-1].astype(np.float32)  # the last row comes first


@dataclass(frozen=True)
class Files:
    """Where a frame is. depth: PFM of metres, or CARLA's PNG; tags: PNG; pose as in `Recorded`."""

    name: str
    image: Path
    depth: Path | None
    tags: Path | None
    pose: Numbers | None


def load(files: Files) -> Recorded:
    """Read one frame. Raises `DataError` for a file that cannot be, or that has another size."""
    depth: npt.NDArray[np.float32] | None = None
    if files.depth is not None:
        is_pfm = files.depth.suffix == ".pfm"
        depth = read_pfm(files.depth) if is_pfm else carla_depth(_picture(files.depth))
    tags = None if files.tags is None else np.ascontiguousarray(_picture(files.tags)[..., 0])
    return _checked(
        files.image, Recorded(files.name, _picture(files.image), depth, tags, files.pose)
    )


def read_carla(folder: Path) -> list[Recorded]:
    """All frames of `carla_files`, read. Raises `DataError` as that and `load` do."""
    return [load(files) for files in carla_files(folder)]


def read_airsim(folder: Path) -> list[Recorded]:
    """All frames of `airsim_files`, read. Raises `DataError` as that and `load` do."""
    return [load(files) for files in airsim_files(folder)]


def carla_files(folder: Path) -> list[Files]:
    """Frames of `rgb/*.png`, with `depth/` and `segmentation/` of the same names where there are.

    poses.csv: frame, x, y, z, pitch, yaw, roll; frame is the name without its ending.
    Raises `DataError` where there is no frame.
    """
    poses = {
        row["frame"]: carla_pose(
            *(float(row[name]) for name in ("x", "y", "z", "pitch", "yaw", "roll"))
        )
        for row in _table(folder / "poses.csv", ",", ("frame", "x", "y", "z", "pitch"))
    }
    frames = []
    for path in _pictures(folder / "rgb"):
        depth, tags = (folder / kind / path.name for kind in ("depth", "segmentation"))
        frames.append(
            Files(
                path.stem,
                path,
                depth if depth.exists() else None,
                tags if tags.exists() else None,
                poses.get(path.stem),
            )
        )
    return frames


def airsim_files(folder: Path) -> list[Files]:
    """Frames of a recording: `airsim_rec.txt` beside `images/`.

    Of the files that a row names, separated by `;`, a PFM is the depth, a PNG called `..._5_...`
    (AirSim's number of segmentation) the tags (its red channel), the first other one the picture.
    Raises `DataError` where there is no table, or a row without a picture.
    """
    rows = _table(folder / "airsim_rec.txt", "\t", (*POSE_COLUMNS, "ImageFile"))
    if not rows:
        raise DataError(f"{folder}: no airsim_rec.txt with frames in it: no recording of AirSim")
    frames = []
    for row in rows:
        numbers = np.array([float(row[name]) for name in POSE_COLUMNS])
        paths = [folder / "images" / Path(name).name for name in row["ImageFile"].split(";")]
        depth = [path for path in paths if path.suffix == ".pfm"]
        tags = [path for path in paths if path.suffix != ".pfm" and "_5_" in path.name]
        images = [path for path in paths if path not in (*depth, *tags)]
        if not images:
            raise DataError(f"{folder}: a row of airsim_rec.txt names no picture: {row}")
        frames.append(
            Files(
                images[0].stem,
                images[0],
                depth[0] if depth else None,
                tags[0] if tags else None,
                airsim_pose(numbers[:3], numbers[3:]),
            )
        )
    return frames


def _table(path: Path, delimiter: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    missing = [name for name in columns if rows and name not in rows[0]]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(rows[0])}")
    return rows


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".png", ".jpg"))
    if not found:
        raise DataError(f"{folder} holds no PNG or JPEG pictures: no recording of CARLA")
    return found


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    """Uint8 (H, W, 3), RGB; an alpha channel is left out."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(f"{path} cannot be read as a picture")
    return np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def _checked(path: Path, frame: Recorded) -> Recorded:
    for name, values in (("depth", frame.depth), ("segmentation", frame.tags)):
        if values is not None and values.shape != frame.image.shape[:2]:
            raise DataError(
                f"{path}: its {name} is {values.shape[1]} x {values.shape[0]} px, the picture "
                f"{frame.image.shape[1]} x {frame.image.shape[0]}"
            )
    return frame
