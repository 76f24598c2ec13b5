"""What theory and trial say of each task: the tables that the conformance suite checks against."""

from __future__ import annotations

import math
from typing import Any

# Several tasks at once, checked like one.
COMPOSITES = ("rotation+simclr", "inpainting+deep_cluster")
BALANCED = "each loss is divided by its running mean, so that their sum stays near their number"
FITTED = "fitted before training, without a gradient"
NO_LEARNING = "the control at random has no weights that learn"
NO_OPTIMUM = "what one player gains the other loses: no loss falls; its own tests see it learn"
NO_WAY_TO_KNOW = (
    "nine tenths of noise and of moving texture are told by nothing that is seen: in 50 steps no "
    "small ViT knows them by heart; its own test sees it learn"
)
NOT_APPLICABLE: dict[tuple[str, str], str] = {
    ("overfit", "gan"): NO_OPTIMUM,
    ("overfit", "bigan"): NO_OPTIMUM,
    ("overfit", "video_gan"): NO_OPTIMUM,
    ("overfit", "video_masked_autoencoder"): NO_WAY_TO_KNOW,
    ("gradient", "random"): NO_LEARNING,
    ("overfit", "random"): NO_LEARNING,
    **{(check, name): FITTED for check in ("gradient", "overfit") for name in ("pca", "kmeans")},
    **{("overfit", name): BALANCED for name in COMPOSITES},
}
NO_PICTURES = {"vectors"}
"""Views that look like pictures by their shape, and are none: optical flow."""
PASSES_OVER = {"moving_objects", "relative_depth"}
"""Tasks that ask nothing about some frames: nothing moves in them, or the camera stands still."""
ROWS = 16
SAME = {
    **{"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)},
    **dict.fromkeys(("flip", "jitter", "grey", "blur"), 0.0),
}
"""Settings of a view that changes nothing."""
# Loss at initialisation for ROWS pictures and two classes, how near it must be, and the settings
# under which theory says so.
THEORY: dict[str, tuple[float, float, dict[str, Any]]] = {
    # For the painter, the second moment of normalised pixels (0.94 for the fixtures' colours,
    # noise and slope) and 0.2 for what the untrained decoder paints; 2 ln 2 for the adversary.
    "inpainting": (0.999 * (0.94 + 0.2) + 0.001 * math.log(2) + 2 * math.log(2), 0.4, {}),
    # The same second moment, and what an untrained last layer makes of its inputs: 128 rectified
    # ones (half a unit each) with weights of variance 1/144, or those of a LayerNorm, 1/3.
    "autoencoder": (0.94 + 128 * 0.5 / 144, 0.45, {}),
    "masked_autoencoder": (0.94 + 1 / 3, 0.4, {}),
    # The second moment of the films' colours, and the same.
    "video_masked_autoencoder": (0.6 + 1 / 3, 0.4, {}),
    # The detail that bicubic interpolation loses: noise of 18 grey levels, of which the view's own
    # resizing leaves about half; and a last layer of 288 rectified inputs.
    "super_resolution": ((18 / 255 / 0.225) ** 2 / 2 + 0.5 / 3, 0.15, {}),
    # A discriminator that knows nothing: ln 2 for each kind of picture that a player asks about.
    "gan": (3 * math.log(2), 0.2, {}),
    # And a tenth of an untrained mask.
    "video_gan": (3 * math.log(2) + 0.1 / 2, 0.25, {}),
    "bigan": (4 * math.log(2), 0.2, {}),
    # What repeating the last frame has: the untrained painter says next to nothing.
    "video_prediction": (1.0, 0.1, {}),
    "colorization": (math.log(313), 0.4, {}),
    "rotation": (math.log(4), 0.35, {}),
    "jigsaw": (math.log(100), 0.4, {}),
    "relative_position": (math.log(8), 0.3, {}),
    # Half the variance of what is standardised, and a little for what the untrained head says.
    "geometric_transform": (0.5, 0.25, {}),
    "order_verification": (math.log(2), 0.25, {}),
    "order_recognition": (math.log(12), 0.3, {}),
    "egomotion": (math.log(20), 0.3, {}),
    # The similarities of 128 random dimensions are near 0, but a temperature of 0.2 enlarges them.
    "simclr": (math.log(2 * ROWS - 1), 0.5, {"temperature": 1.0}),
    # As for simclr: the queue is still empty, and what is there are the keys of the batch.
    "moco": (math.log(2 * ROWS - 1), 0.5, {"temperature": 1.0}),
    # A prediction and a projection have nothing to do with each other.
    "simsiam": (0.0, 0.3, {}),
    # Views that are the same: no dimension differs, and what is left is not weighed.
    "barlow_twins": (0.0, 1e-3, {"view": SAME, "redundancy": 0.0}),
    # Views that are the same, and the deviation of a linear layer's outputs behind BatchNorm and
    # ReLU at PyTorch's initialisation, sqrt(Var(relu) / 3) = 0.337: the hinge alone.
    "vicreg": (25 * (1 - 0.337), 0.7, {"view": SAME, "covariance": 0.0}),
    # The negative is the next one that is farther than the positive.
    "triplet": (1.0, 0.3, {"margin": 1.0}),
    # Two regressions, of directions that have nothing to do with each other.
    "byol": (4.0, 0.5, {}),
    "deep_cluster": (math.log(10), 0.1, {"clusters": 10}),
    "sift_clusters": (math.log(10), 0.35, {"clusters": 10}),
    # Half as many pairs as pictures, in one view each.
    "graph_constraint": (math.log(ROWS - 1), 0.5, {"temperature": 1.0}),
    # Cosines with ten prototypes of 128 dimensions are near 0.
    "swav": (math.log(10), 0.3, {"temperature": 1.0, "prototypes": 10}),
    # As for SwAV; and the teacher, as soft, says as little.
    "dino": (
        math.log(10),
        0.3,
        {"temperature": 1.0, "teacher_temperature": (1, 1), "prototypes": 10},
    ),
    # HED's weights, at an even answer and a share of edges of about 0.15.
    "contours": (2 * 0.15 * 0.85 * math.log(2), 0.12, {}),
    "saliency": (math.log(2), 0.2, {}),
    # Pairs whose order nothing tells; of some rows none is clear, and they add nothing.
    "relative_depth": (math.log(2), 0.3, {}),
    "flow_correspondence": (math.log(2), 0.3, {}),
    "flow_prediction": (math.log(33), 0.4, {}),
    # Depth: 2 to 6 m beside the middle of the logarithm, 3.2 m, and what an untrained layer says;
    # normals at right angles to what is said; contours as above, of a share of 0.1.
    "rendered": (0.6 + 1.0 + 2 * 0.1 * 0.9 * math.log(2), 0.5, {}),
    # Even answers, of a share of moving pixels of about a fifth.
    "moving_objects": (math.log(2) + 1 - 0.2 / 1.2, 0.3, {}),
    # Cosines of random projections are near 0; each of as many sounds as pictures is as likely.
    "audio_visual_correspondence": (math.log(ROWS), 0.3, {"temperature": 1.0}),
    # Two moments of each video.
    "audio_visual_synchronization": (math.log(2 * ROWS), 0.3, {"temperature": 1.0}),
    "sound_prediction": (math.log(30), 0.4, {}),
    "random": (0.0, 0.0, {}),
    "pca": (0.0, 0.0, {}),
    "kmeans": (0.0, 0.0, {}),
    "weakly_supervised": (math.log(2), 0.4, {}),
    "supervised": (math.log(2), 0.4, {}),
    # Balanced losses are 1 each; 2 ln 2 for the adversary.
    "rotation+simclr": (2.0, 1e-5, {}),
    "inpainting+deep_cluster": (2.0 + 2 * math.log(2), 0.3, {}),
}
# Tasks whose pseudo-label is drawn independently of the picture: pictures in a batch (of which a
# view `image` is made that shows it). Those that cut a picture into nine need fewer.
INDEPENDENT = {
    **{"rotation": 64, "jigsaw": 24, "relative_position": 8},
    **{"order_verification": 16, "order_recognition": 32},
}
# The metric that says that 16 samples are known by heart, for those whose metric is no share.
BY_HEART = {
    "inpainting": 22.0,
    # It asks what two views share, and leaves it at that: far above 1/31, but not all.
    "barlow_twins": 0.6,
    "autoencoder": 22.0,
    "masked_autoencoder": 22.0,
    # Their noise is known by nobody; what is not noise is soon found.
    "super_resolution": 0.0,
    "video_prediction": 3.0,
}
# The same where less is better.
ERROR_BY_HEART = {
    **{"colorization": 12.0, "geometric_transform": 0.35},
    **{"flow_prediction": 0.01, "egomotion": 0.8},
}
# Settings under which 16 samples can be known by heart.
BEARABLE: dict[str, dict[str, Any]] = {
    # 16 rows cannot keep more dimensions uncorrelated.
    "vicreg": {"projection": 16},
    # Statistics of 8 of these pictures differ by as much as the pictures themselves.
    "moco": {"splits": 1},
    # As many prototypes as views, and crops that show more than a corner.
    "swav": {"prototypes": 2 * ROWS, "epsilon": 0.03, "local_crops": 0},
    # A small spectrogram: what is asked is whether it can be known, not how long that takes.
    "audio_visual_correspondence": {"mels": 16, "hop_seconds": 0.04},
    "audio_visual_synchronization": {
        **{"mels": 16, "hop_seconds": 0.04, "frames": 3, "view": SAME},
        **{"region": (0.5, 0.5, 0.5), "jitter": 0.0},
    },
    # In 50 steps a ViT does not see through crops of noise.
    "dino": {"view": SAME, "local_crops": 0},
}
