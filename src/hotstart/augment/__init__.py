"""Views: random parameters are drawn in a batch, then applied."""

from hotstart.augment.clip import apply_clip, centre_clip, random_clip
from hotstart.augment.flow import apply_flow, colour_wheel, flow_colours
from hotstart.augment.settings import ViewParameters, ViewSettings, draw_view
from hotstart.augment.sound import as_waves, log_mel
from hotstart.augment.views import apply_view, centre_view, crop, random_view

__all__ = [
    "ViewParameters",
    "ViewSettings",
    "apply_clip",
    "apply_flow",
    "apply_view",
    "as_waves",
    "centre_clip",
    "centre_view",
    "colour_wheel",
    "crop",
    "draw_view",
    "flow_colours",
    "log_mel",
    "random_clip",
    "random_view",
]
