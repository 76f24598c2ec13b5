"""Data: discover -> index -> cache -> loader."""

from hotstart.data.dataset import Dataset, open_dataset
from hotstart.data.loader import Loader
from hotstart.data.quarantine import Quarantined
from hotstart.data.splits import pretraining_split
from hotstart.data.subset import Subset

__all__ = ["Dataset", "Loader", "Quarantined", "Subset", "open_dataset", "pretraining_split"]
