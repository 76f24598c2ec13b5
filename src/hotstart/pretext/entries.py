"""The list of every pretext task and control: one literal dictionary, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["generation", "context", "free_labels", "cross_modal", "control", "several"]
"""The lecture's; `several` of tasks of different ones that are trained at once."""


@dataclass(frozen=True)
class Entry:
    """Where a task is, and what a reader of the list wants to know."""

    path: str
    """`module:Class`."""
    family: Family
    kind: str
    """The lecture's: predictive, generative, contrastive, or a mix; `control`."""
    needs: tuple[str, ...]
    """Sample keys that it reads."""
    paper: str
    encoder: str = ""
    """The only encoder that it can fill; empty for the many that leave the choice."""


TASKS: dict[str, Entry] = {
    "autoencoder": Entry(
        "hotstart.pretext.generation.autoencoder:Autoencoder",
        "generation",
        "generative",
        ("image",),
        "Vincent 2008, doi:10.1145/1390156.1390294",
    ),
    "inpainting": Entry(
        "hotstart.pretext.generation.inpainting:Inpainting",
        "generation",
        "generative",
        ("image",),
        "Pathak 2016, arXiv:1604.07379",
    ),
    "masked_autoencoder": Entry(
        "hotstart.pretext.generation.masked_autoencoder:MaskedAutoencoder",
        "generation",
        "generative",
        ("image",),
        "He 2022 (MAE), arXiv:2111.06377",
    ),
    "super_resolution": Entry(
        "hotstart.pretext.generation.super_resolution:SuperResolution",
        "generation",
        "generative",
        ("image",),
        "Ledig 2017 (SRGAN), arXiv:1609.04802",
    ),
    "gan": Entry(
        "hotstart.pretext.generation.gan:Gan",
        "generation",
        "generative",
        ("image",),
        "Goodfellow 2014, arXiv:1406.2661; Radford 2016, arXiv:1511.06434",
    ),
    "bigan": Entry(
        "hotstart.pretext.generation.bigan:Bigan",
        "generation",
        "generative",
        ("image",),
        "Donahue 2017, arXiv:1605.09782",
    ),
    "colorization": Entry(
        "hotstart.pretext.generation.colorization:Colorization",
        "generation",
        "generative",
        ("image",),
        "Zhang 2016, arXiv:1603.08511",
    ),
    "video_prediction": Entry(
        "hotstart.pretext.generation.video_prediction:VideoPrediction",
        "generation",
        "generative",
        ("clip",),
        "Srivastava 2015, arXiv:1502.04681; Shi 2015 (ConvLSTM), arXiv:1506.04214",
    ),
    "rotation": Entry(
        "hotstart.pretext.context.rotation:Rotation",
        "context",
        "predictive",
        ("image",),
        "Gidaris 2018, arXiv:1803.07728",
    ),
    "jigsaw": Entry(
        "hotstart.pretext.context.jigsaw:Jigsaw",
        "context",
        "predictive",
        ("image",),
        "Noroozi & Favaro 2016, arXiv:1603.09246",
    ),
    "relative_position": Entry(
        "hotstart.pretext.context.relative_position:RelativePosition",
        "context",
        "predictive",
        ("image",),
        "Doersch 2015, arXiv:1505.05192",
    ),
    "geometric_transform": Entry(
        "hotstart.pretext.context.geometric_transform:GeometricTransform",
        "context",
        "predictive",
        ("image",),
        "Zhang 2019 (AET), arXiv:1901.04596",
    ),
    "order_verification": Entry(
        "hotstart.pretext.context.order_verification:OrderVerification",
        "context",
        "predictive",
        ("clip",),
        "Misra 2016, arXiv:1603.08561",
    ),
    "simclr": Entry(
        "hotstart.pretext.context.simclr:SimCLR",
        "context",
        "contrastive",
        ("image",),
        "Chen 2020, arXiv:2002.05709",
    ),
    "byol": Entry(
        "hotstart.pretext.context.byol:BYOL",
        "context",
        "contrastive",
        ("image",),
        "Grill 2020, arXiv:2006.07733",
    ),
    "moco": Entry(
        "hotstart.pretext.context.moco:MoCo",
        "context",
        "contrastive",
        ("image", "index"),
        "He 2020, arXiv:1911.05722, and v2, arXiv:2003.04297",
    ),
    "simsiam": Entry(
        "hotstart.pretext.context.simsiam:SimSiam",
        "context",
        "contrastive",
        ("image",),
        "Chen & He 2021, arXiv:2011.10566",
    ),
    "barlow_twins": Entry(
        "hotstart.pretext.context.barlow_twins:BarlowTwins",
        "context",
        "contrastive",
        ("image",),
        "Zbontar 2021, arXiv:2103.03230",
    ),
    "vicreg": Entry(
        "hotstart.pretext.context.vicreg:VICReg",
        "context",
        "contrastive",
        ("image",),
        "Bardes 2022, arXiv:2105.04906",
    ),
    "triplet": Entry(
        "hotstart.pretext.context.triplet:Triplet",
        "context",
        "contrastive",
        ("image", "index", "group"),
        "Schroff 2015, arXiv:1503.03832; Wang & Gupta 2015, arXiv:1505.00687",
    ),
    "deep_cluster": Entry(
        "hotstart.pretext.context.deep_cluster:DeepCluster",
        "context",
        "predictive",
        ("image", "index"),
        "Caron 2018, arXiv:1807.05520",
    ),
    "sift_clusters": Entry(
        "hotstart.pretext.context.sift_clusters:SIFTClusters",
        "context",
        "predictive",
        ("image", "index"),
        "Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94; Sivic & Zisserman 2003, "
        "doi:10.1109/ICCV.2003.1238663",
    ),
    "graph_constraint": Entry(
        "hotstart.pretext.context.graph_constraint:GraphConstraint",
        "context",
        "contrastive",
        ("image",),
        "Li 2016, doi:10.1007/978-3-319-46493-0_41",
    ),
    "swav": Entry(
        "hotstart.pretext.context.swav:SwAV",
        "context",
        "predictive",
        ("image",),
        "Caron 2020, arXiv:2006.09882",
    ),
    "dino": Entry(
        "hotstart.pretext.context.dino:DINO",
        "context",
        "contrastive",
        ("image",),
        "Caron 2021, arXiv:2104.14294",
    ),
    "contours": Entry(
        "hotstart.pretext.free_labels.contours:Contours",
        "free_labels",
        "predictive",
        ("image",),
        "Li 2016, arXiv:1511.04166; Ren & Lee 2018, arXiv:1711.09082; Canny of OpenCV",
    ),
    "saliency": Entry(
        "hotstart.pretext.free_labels.saliency:Saliency",
        "free_labels",
        "predictive",
        ("image",),
        "Zhang 2015, Minimum Barrier Salient Object Detection at 80 FPS (ICCV)",
    ),
    "rendered": Entry(
        "hotstart.pretext.free_labels.rendered:Rendered",
        "free_labels",
        "predictive",
        ("image", "depth", "normals", "contours"),
        "Ren & Lee 2018, arXiv:1711.09082; MuJoCo and Mitsuba 3",
    ),
    "moving_objects": Entry(
        "hotstart.pretext.free_labels.moving_objects:MovingObjects",
        "free_labels",
        "predictive",
        ("image", "flow"),
        "Pathak 2017, arXiv:1612.06370",
    ),
    "audio_visual_correspondence": Entry(
        "hotstart.pretext.cross_modal.audio_visual_correspondence:AudioVisualCorrespondence",
        "cross_modal",
        "contrastive",
        ("clip", "audio", "group"),
        "Arandjelovic & Zisserman 2017, arXiv:1705.08168",
    ),
    "audio_visual_synchronization": Entry(
        "hotstart.pretext.cross_modal.audio_visual_synchronization:AudioVisualSynchronization",
        "cross_modal",
        "contrastive",
        ("clip", "audio", "group"),
        "Korbar 2018, arXiv:1807.00230",
    ),
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
