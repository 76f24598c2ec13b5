"""Fixtures, the switch for slow tests, and which tests share a worker."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread a worker, said before NumPy and torch start theirs: the workers fill the cores.
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from PIL import Image

from hotstart.world.generate import render
from tests.pretext.moving import moving

CONFORMANCE = "tests/conformance/"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run slow tests too (or set SLOW=1)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        # A file's tests share what its fixtures make; in conformance each test stands alone.
        file = item.nodeid.partition("::")[0]
        shared = item.nodeid if file.startswith(CONFORMANCE) else file
        item.add_marker(pytest.mark.xdist_group(shared))
    if config.getoption("--slow") or os.environ.get("SLOW") == "1":
        return
    skip = pytest.mark.skip(reason="slow: run with SLOW=1")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    root = Path(os.environ.get("PYTEST_HOTSTART_CACHE", tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Every test starts from the same weights, alone or among others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def class_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 pictures of 40 x 40 px in `train/` and `test/` of two classes that colour tells apart."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 80), ("test", 40)):
        for name, channel in (("cold", 2), ("warm", 0)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                base = np.linspace(40, 140, 40)[:, None, None] * np.ones((40, 40, 3))
                base[..., channel] += 90
                noise = rng.normal(0, 18, (40, 40, 3))
                pixels = np.clip(base + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return root


@pytest.fixture(scope="session")
def film_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 videos of 17 frames in two seconds, 32 x 32 px: a disc that moves over a moving ground."""
    made = moving(60, frames=17, ground_px=0.5, disc_px=(0.4, 0.8))
    return made.write(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def rendered_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 rendered pictures of 32 x 32 px with all that is known of them."""
    folder = tmp_path_factory.mktemp("world") / "pictures"
    return render("world:images?n=60&size=32&samples=4", folder, form="shards", processes=1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that `HOTSTART_DATA` names."""
    given = os.environ.get("HOTSTART_DATA")
    if not given:
        pytest.skip("HOTSTART_DATA is not set: no real data")
    return Path(given)


@pytest.fixture(scope="session")
def imagenette(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photographs, 128 x 128 px, ten classes, `train/` and `test/`."""
    archive = real_data / "imagenette128.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    root = tmp_path_factory.mktemp("imagenette")
    with zipfile.ZipFile(archive) as file:
        file.extractall(root)
    return root / "imagenette128"


@pytest.fixture(scope="session")
def geometry(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`flow/` (pairs with exact flow), `sevenscenes/` (depth, poses) and `kitti/` (poses)."""
    archive = real_data / "geometry.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    root = tmp_path_factory.mktemp("geometry")
    with zipfile.ZipFile(archive) as file:
        file.extractall(root)
    return root / "geometry"
