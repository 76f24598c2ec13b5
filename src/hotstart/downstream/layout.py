"""A map of features: where each picture lies on a plane, alike beside alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

from hotstart.downstream.features import Standardiser

PRINCIPAL = 50
PERPLEXITY = 30
LEAST = 3 * PERPLEXITY
"""Pictures below which t-SNE has too few neighbours for its perplexity."""


@dataclass(frozen=True)
class Layout:
    """places: float64 (N, 2) in 0..1, the longer side of the map filling that range."""

    places: npt.NDArray[np.float64]
    method: Literal["t-SNE", "PCA"]


def lay_out(features: Tensor) -> Layout:
    """Features (N, D), N at least 1 -> the plane: standardised, PCA to 50 dimensions, then t-SNE.

    t-SNE after van der Maaten and Hinton 2008, by scikit-learn, begun from the first two principal
    components (Kobak and Berens 2019) with a fixed seed. Fewer than 90 pictures, three times the
    perplexity, are laid out by those two components alone. Distances on the map have no unit; only
    who lies beside whom has a meaning. The same features give the same map, bit for bit, on one
    machine; values that are not finite count as 0.
    """
    # Slow to load, and asked for once a run is trained: training does not wait for them.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    known = features.detach().float().cpu().nan_to_num(0.0, 0.0, 0.0)
    table = Standardiser.fit(known)(known).double().numpy()
    # With several threads, sums are taken in another order each time, and t-SNE magnifies that.
    with threadpool_limits(1):
        plane = np.zeros((len(table), 2))
        if len(table) < 2 or not np.ptp(table, axis=0).any():
            return Layout(_in_unit_square(plane), "PCA")
        kept = min(PRINCIPAL, *table.shape)
        principal = PCA(kept, svd_solver="full").fit_transform(table)
        plane[:, :kept] = principal[:, :2]
        if len(table) < LEAST:
            return Layout(_in_unit_square(plane), "PCA")
        begin = (plane / plane[:, 0].std() * 1e-4).astype(np.float32)
        tsne = TSNE(perplexity=PERPLEXITY, init=begin, learning_rate="auto", random_state=0)
        return Layout(_in_unit_square(tsne.fit_transform(principal)), "t-SNE")


def _in_unit_square(plane: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Centred, without stretching one direction more than the other."""
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2
    extent = float(np.ptp(plane, axis=0).max())
    scaled = np.asarray(plane - middle, np.float64) / (extent or 1.0)
    return np.clip(scaled + 0.5, 0, 1)
