"""The list of every control, readable without torch."""

from __future__ import annotations

from hotstart.pretext.entry import Entry

CONTROL_TASKS: dict[str, Entry] = {
    "random": Entry(
        "hotstart.pretext.controls:RandomInit",
        "control",
        "control",
        ("image",),
        "He 2015 initialisation, arXiv:1502.01852",
    ),
    "pca": Entry(
        "hotstart.pretext.unsupervised:Pca",
        "control",
        "control",
        ("image",),
        "Turk & Pentland 1991, doi:10.1162/jocn.1991.3.1.71",
        encoder="pixel_components",
    ),
    "kmeans": Entry(
        "hotstart.pretext.unsupervised:Kmeans",
        "control",
        "control",
        ("image",),
        "Coates 2011, An Analysis of Single-Layer Networks, AISTATS",
        encoder="patch_centroids",
    ),
    "weakly_supervised": Entry(
        "hotstart.pretext.weak_labels:WeaklySupervised",
        "control",
        "control",
        ("image", "label", "index"),
        "Zhou 2018, doi:10.1093/nsr/nwx106",
    ),
    "supervised": Entry(
        "hotstart.pretext.controls:Supervised",
        "control",
        "control",
        ("image", "label"),
        "cross-entropy on human labels, as He 2016, arXiv:1512.03385",
    ),
}
