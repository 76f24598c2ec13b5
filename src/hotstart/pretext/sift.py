"""Visual words: how often each of V local patterns occurs in a picture, found without learning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.data import Subset
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.pretext.clustering import kmeans, nearest_centroid
from hotstart.pretext.prepared import Arrays, prepared

SIDE_PX, STEP_PX, WINDOW_PX = 64, 8, 24
"""Pictures are looked at in 64 px, in windows of 24 px that lie 8 px apart."""
DESCRIPTOR = 128
WINDOW_OVER_DIAMETER = 6
"""OpenCV's window has four bins a side, each three radii of the keypoint wide."""
SAMPLED_PICTURES, SAMPLED_WINDOWS = 2_000, 50_000
"""Pictures, and windows of them, that a vocabulary is made of, at most."""
AT_ONCE = 1_000
"""Pictures whose descriptors are held in memory."""
VERSION = 1
"""Of the words that the code here finds: raise it when they change."""

Bytes = npt.NDArray[np.uint8]


def dense_sift(pictures: Pictures) -> Tensor:
    """SIFT of all windows of a regular grid: (B, P, 128) float32, P = 64.

    Lowe 2004 (IJCV 60:91), section 6, by OpenCV, on a dense grid and upright as in Lazebnik 2006
    (CVPR, "Beyond bags of features"), section 4: in a picture of 32 px the detector would find
    about ten places, and in some none. The largest centred square is brought to 64 px, and so
    enlarged where it is smaller, and made grey: colours do not count.
    """
    grey = _grey(centre_view(pictures, SIDE_PX).cpu())
    keypoints = _grid()

    def describe(image: Bytes) -> npt.NDArray[np.float32]:
        # A detector each: OpenCV's keeps state between calls.
        found = cv2.SIFT.create().compute(image, keypoints)[1]
        return np.asarray(found, dtype=np.float32)

    with ThreadPoolExecutor(max(torch.get_num_threads(), 1)) as threads:
        return torch.from_numpy(np.stack(list(threads.map(describe, grey))))


def words_of(dataset: Subset, words: int, cache: Path) -> tuple[Tensor, Tensor]:
    """A vocabulary of the pictures, and how often each word occurs in each of them.

    Returns (V, 128) float32 and (N, V) int64, from `cache` where they have been made before. They
    are a property of the pictures and not of a run: all seeds share them.
    """

    def make() -> Arrays:
        rng = Draws(0, 0, total=1, names=("visual words",)).generator
        sample = rng.choice(len(dataset), min(len(dataset), SAMPLED_PICTURES), replace=False)
        parts = [_described(dataset, part) for part in _chunks(np.sort(sample))]
        found = vocabulary(torch.cat(parts).flatten(0, 1), words, rng)
        every = _chunks(np.arange(len(dataset)))
        counts = torch.cat([count_words(_described(dataset, part), found) for part in every])
        return {"words": found.numpy(), "counts": counts.numpy().astype(np.uint8)}

    key = (dataset.fingerprint, dataset.dataset.size, words, SIDE_PX, STEP_PX, WINDOW_PX, VERSION)
    arrays = prepared(cache, "visual-words", key, make)
    return torch.from_numpy(arrays["words"]), torch.from_numpy(arrays["counts"]).long()


def vocabulary(descriptors: Tensor, words: int, rng: np.random.Generator) -> Tensor:
    """V visual words (V, 128): k-means of descriptors (M, 128), or of 50,000 drawn from them.

    Sivic & Zisserman 2003 (ICCV, "Video Google"), section 3. words: V, at most M.
    """
    if len(descriptors) > SAMPLED_WINDOWS:
        rows = rng.choice(len(descriptors), SAMPLED_WINDOWS, replace=False)
        descriptors = descriptors[torch.from_numpy(np.sort(rows))]
    return kmeans(descriptors, words, rng)[0]


def count_words(descriptors: Tensor, words: Tensor) -> Tensor:
    """How often each word (V, 128) is the nearest of a descriptor (B, P, 128): int64 (B, V)."""
    nearest = nearest_centroid(descriptors.flatten(0, 1), words).view(len(descriptors), -1)
    counts = torch.zeros(len(descriptors), len(words), dtype=torch.int64)
    return counts.scatter_add_(1, nearest, torch.ones_like(nearest))


def bag_of_words(counts: Tensor) -> Tensor:
    """Counts (B, V) -> vectors of length 1, float32: square roots of each word's share.

    Their distance is Hellinger's, for which a word that comes ten times does not count ten times
    (Arandjelović & Zisserman 2012, CVPR, "Three things everyone should know", section 3).
    """
    return (counts.float() / counts.sum(1, keepdim=True)).sqrt()


def _described(dataset: Subset, positions: npt.NDArray[np.int64]) -> Tensor:
    return dense_sift(dataset.batch(positions, ("image",))["image"])


def _chunks(positions: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.array_split(positions, -(-len(positions) // AT_ONCE))


def _grid() -> list[cv2.KeyPoint]:
    places = np.arange(STEP_PX / 2, SIDE_PX, STEP_PX).tolist()
    diameter = WINDOW_PX / WINDOW_OVER_DIAMETER
    return [cv2.KeyPoint(x, y, diameter, 0.0) for y in places for x in places]


def _grey(views: Tensor) -> list[Bytes]:
    """Views (B, 3, S, S) in 0..1 -> uint8 (S, S) each, by Rec. 601."""
    weights = views.new_tensor([0.299, 0.587, 0.114])
    grey = torch.einsum("bchw,c->bhw", views, weights)
    return list((grey * 255).round().to(torch.uint8).contiguous().numpy())
