"""The two engines agree; neither the threads nor the neighbours in the batch matter."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hotstart import augment
from hotstart.augment import ViewSettings, apply_view, draw_view, packed, random_view
from hotstart.augment.views import Engine
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.errors import UsageError

EVERYTHING = ViewSettings(solarise=0.3, cutout=0.3)


@pytest.mark.parametrize("size", [16, 32, 63, 128])
@pytest.mark.parametrize("step", range(3))
def test_engines_agree(ragged: Pictures, size: int, step: int) -> None:
    """Within a fifth of a grey level, over many parameters, sizes, enlarging and shrinking."""
    parameters = draw_view(EVERYTHING, ragged, size, Draws(0, step, total=len(ragged)))
    on_cpu = apply_view(ragged, parameters, size, engine="opencv")
    anywhere = apply_view(ragged, parameters, size, engine="torch")
    torch.testing.assert_close(on_cpu, anywhere, atol=0.2 / 255, rtol=0)
    assert 0 <= on_cpu.min() <= on_cpu.max() <= 1
    assert on_cpu.stride() == anywhere.stride()


def test_chunks_of_the_torch_engine_do_not_matter(
    ragged: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = draw_view(EVERYTHING, ragged, 24, Draws(0, 0, total=len(ragged)))
    at_once = apply_view(ragged, parameters, 24, engine="torch")
    monkeypatch.setattr(packed, "CHUNK_VALUES", 24 * 24 * 3 * 5)
    torch.testing.assert_close(apply_view(ragged, parameters, 24, engine="torch"), at_once)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu(ragged: Pictures) -> None:
    rng = Draws(0, 0, total=len(ragged))
    on_gpu = random_view(ragged.to("cuda"), EVERYTHING, 64, rng)
    assert on_gpu.device.type == "cuda"
    on_cpu = random_view(ragged, EVERYTHING, 64, Draws(0, 0, total=len(ragged)))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=0.2 / 255, rtol=0)


def test_opencv_refuses_another_device(ragged: Pictures) -> None:
    parameters = draw_view(EVERYTHING, ragged, 8, Draws(0, 0, total=len(ragged)))
    with pytest.raises(UsageError, match="meta"):
        apply_view(ragged.to("meta"), parameters, 8, engine="opencv")


def test_threads_do_not_matter(ragged: Pictures) -> None:
    parameters = draw_view(EVERYTHING, ragged, 32, Draws(0, 0, total=len(ragged)))
    one, *others = (apply_view(ragged, parameters, 32, threads=n) for n in (1, 2, 5, 99))
    assert all(torch.equal(one, other) for other in others)


@pytest.mark.parametrize("engine", ["opencv", "torch"])
def test_a_clip_gets_one_set_of_parameters(
    photographs: Callable[..., Pictures], engine: Engine
) -> None:
    """Frames that are equal stay equal when every frame takes its clip's row."""
    clips = photographs((50, 60), (70, 40))
    parameters = draw_view(EVERYTHING, clips, 32, Draws(0, 0, total=2))
    frames = torch.tensor([0, 0, 0, 1, 1, 1])
    views = apply_view(
        clips.select(frames),
        parameters.select(frames),
        32,
        engine=engine,
    )
    views = views.reshape(2, 3, 3, 32, 32)
    assert torch.equal(views[:, 0], views[:, 1])
    assert torch.equal(views[:, 0], views[:, 2])
    alone = apply_view(clips, parameters, 32, engine=engine)
    torch.testing.assert_close(views[:, 0], alone)


def test_views_need_no_pillow() -> None:
    """Neither Pillow nor torchvision is imported by any file of the room."""
    for file in Path(augment.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"PIL", "torchvision"}, file
