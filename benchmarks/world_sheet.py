"""A contact sheet of rendered clips: `python benchmarks/world_sheet.py docs/world.jpg [first]`.

Of each action one row: every fourth frame; of the last of them depth, normals, instances and flow
(what the next frame does not show is black); and the clip's sound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from hotstart.augment.flow import flow_colours
from hotstart.augment.sound import log_mel
from hotstart.world.asked import parse_world
from hotstart.world.item import Item, make
from hotstart.world.scene import ACTIONS
from hotstart.world.sound import SOUND_HZ

SIZE, SHOWN = 80, (2, 5, 8, 11)
WORLD = parse_world(f"world:videos?n=70&size={SIZE}&samples=24&seed=0")
COLUMNS = (*(f"{t / WORLD.hz:.2f} s" for t in SHOWN), "depth", "normals", "things", "flow", "sound")
GAP, HEADER, SIDE = 4, 22, 64
INK = (40, 40, 40)
Picture = npt.NDArray[np.uint8]


def row(item: Item) -> list[Picture]:
    """The pictures of one clip, uint8 RGB (SIZE, SIZE, 3) each; the last one is wider."""
    t = SHOWN[-1]
    seen, (vectors, hidden) = item.frames[t], item.flows[t]
    depth = np.clip(1 - np.log(np.maximum(seen.depth, 1)) / np.log(16), 0, 1) * 255
    normals = (seen.normals + 1) / 2 * 255
    hues = np.array([[0, 0, 0], [230, 80, 60], [60, 140, 230], [80, 190, 90], [240, 180, 50]])
    hues = np.concatenate([hues, hues[1:] // 2 + 60])
    largest = max(float(np.quantile(np.linalg.norm(vectors, axis=-1), 0.98)), 1e-3)
    flow = flow_colours(torch.from_numpy(vectors).permute(2, 0, 1)[None], largest)[0]
    coloured = flow.permute(1, 2, 0).numpy() * 255 * ~hidden[..., None]
    pictures = [item.images[s].astype(float) for s in SHOWN]
    pictures += [np.repeat(depth[..., None], 3, 2), normals, hues[seen.instances], coloured]
    return [np.clip(each, 0, 255).astype(np.uint8) for each in pictures] + [spectrogram(item)]


def spectrogram(item: Item) -> Picture:
    """The sound, low pitches at the bottom, with a mark where each contact began."""
    mel = log_mel(torch.from_numpy(item.sound)[None].float() / 32768)[0].numpy()
    mel = mel.reshape(mel.shape[-2:])
    bright = np.clip((mel - mel.max() + 9) / 9, 0, 1)[::-1] * 255
    wide = cv2.resize(bright.astype(np.uint8), (2 * SIZE, SIZE - 10))
    picture = np.full((SIZE, 2 * SIZE, 3), 255, np.uint8)
    picture[10:] = cv2.applyColorMap(wide, cv2.COLORMAP_MAGMA)[..., ::-1]
    for contact in item.motion.contacts:
        x = round(contact.seconds * SOUND_HZ / len(item.sound) * 2 * SIZE)
        cv2.line(picture, (x, 0), (x, 8), (200, 30, 30), 1)
    return picture


def main() -> None:
    out = Path(sys.argv[1])
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    widths = [SIZE] * (len(COLUMNS) - 1) + [2 * SIZE]
    lefts = SIDE + np.concatenate([[0], np.cumsum(np.array(widths) + GAP)])
    height = HEADER + (SIZE + GAP) * len(ACTIONS)
    sheet = np.full((height, int(lefts[-1]), 3), 255, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    for left, name in zip(lefts.tolist(), COLUMNS, strict=False):
        cv2.putText(sheet, name, (left, 15), font, 0.42, INK, 1, cv2.LINE_AA)
    for k, action in enumerate(ACTIONS):
        item = make(WORLD, first + k)
        top = HEADER + k * (SIZE + GAP)
        cv2.putText(sheet, action, (2, top + SIZE // 2), font, 0.42, INK, 1, cv2.LINE_AA)
        cv2.putText(
            sheet,
            f"({item.scene.camera_motion})",
            (2, top + SIZE // 2 + 16),
            font,
            0.36,
            INK,
            1,
            cv2.LINE_AA,
        )
        for left, picture in zip(lefts.tolist(), row(item), strict=False):
            sheet[top : top + SIZE, left : left + picture.shape[1]] = picture
    cv2.imwrite(str(out), sheet[..., ::-1])


if __name__ == "__main__":
    main()
