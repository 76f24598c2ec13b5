"""Downstream tasks: what an encoder is worth to someone with labels."""

from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.classify import FROZEN, classify
from hotstart.downstream.features import Features, extract, recalibrate_batchnorm
from hotstart.downstream.outcome import Outcome, Predictions, Progress

__all__ = [
    "FROZEN",
    "Features",
    "FinetuneSettings",
    "Outcome",
    "Predictions",
    "Progress",
    "classify",
    "extract",
    "recalibrate_batchnorm",
]
