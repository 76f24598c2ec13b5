"""Views: random parameters are drawn in a batch, then applied."""

from hotstart.augment.settings import ViewParameters, ViewSettings, draw_view
from hotstart.augment.views import apply_view, centre_view, crop, random_view

__all__ = [
    "ViewParameters",
    "ViewSettings",
    "apply_view",
    "centre_view",
    "crop",
    "draw_view",
    "random_view",
]
