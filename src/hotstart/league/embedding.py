"""Features of every picture, as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hotstart.data import Dataset
from hotstart.downstream.features import extract
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.training.device import pick_device

PARQUET = ".parquet"


def write_embedding(encoder: Encoder, dataset: Dataset, out: Path, accelerator: str) -> Path:
    """Parquet with columns `path`, `split`, `label`, `h`; appears whole or not at all."""
    if out.suffix != PARQUET:
        raise UsageError(
            f"{out}: features are written as Parquet; name a file that ends in {PARQUET}"
        )
    device = pick_device(accelerator)
    indices = np.arange(len(dataset))
    features = extract(encoder.to(device), dataset, indices, device=device, stages=False)
    flat = pa.array(features.last.numpy().reshape(-1), type=pa.float32())
    labels = [dataset.classes[label] if label >= 0 else None for label in dataset.labels]
    table = pa.table(
        {
            "path": [dataset.path(i) for i in range(len(dataset))],
            "split": [dataset.split_names[code] for code in dataset.split],
            "label": pa.array(labels, type=pa.string()),
            "h": pa.FixedSizeListArray.from_arrays(flat, encoder.dim),
        }
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    pq.write_table(table, part)
    part.replace(out)
    return out
