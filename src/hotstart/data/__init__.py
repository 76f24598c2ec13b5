"""Data: discover -> index -> cache -> loader."""

from hotstart.data.dataset import Dataset, add_real, open_dataset
from hotstart.data.loader import Loader
from hotstart.data.quarantine import Quarantined
from hotstart.data.splits import pretraining_split
from hotstart.data.subset import Subset

__all__ = [
    "Dataset",
    "Loader",
    "Quarantined",
    "Subset",
    "add_real",
    "open_dataset",
    "pretraining_split",
]
