"""The rendered world: pictures and clips a second, where the time goes, and what cores add.

Beside it Mitsuba alone: the same scenes, size and samples, colours only, nothing written. Each
number is of one process unless it says otherwise. `python benchmarks/world.py [items]`
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hotstart.data.workers import cores
from hotstart.world import item as items
from hotstart.world.asked import WorldSettings, parse_world
from hotstart.world.draw import draw_scene
from hotstart.world.engines import mitsuba
from hotstart.world.generate import render
from hotstart.world.physics import Simulation
from hotstart.world.render import Renderer

SIZES = (64, 128)


class Stopwatch:
    """Processor seconds in named parts of the work, by wrapping the functions that do them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, owner: Any, name: str, part: str) -> None:
        work = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            begun = time.process_time()
            try:
                return work(*given, **named)
            finally:
                spent = time.process_time() - begun
                self.seconds[part] = self.seconds.get(part, 0.0) + spent

        setattr(owner, name, timed)


def measure(settings: WorldSettings, watch: Stopwatch) -> dict[str, Any]:
    """One process, nothing on disk."""
    items.files_of(settings, 0)  # engines are loaded
    watch.seconds.clear()
    begun = time.process_time()
    for index in range(settings.n):
        items.files_of(settings, index)
    spent = time.process_time() - begun
    frames = settings.frames if settings.is_video else 1
    return {
        "world": settings.text,
        "items_per_second": round(settings.n / spent, 2),
        "frames_per_second": round(settings.n * frames / spent, 2),
        "share": {part: round(own / spent, 3) for part, own in watch.seconds.items()},
    }


def bare(settings: WorldSettings) -> float:
    """Frames a second of Mitsuba alone: the scene is loaded, then only its colours are rendered."""
    engine = mitsuba()
    spent, frames = 0.0, 0
    for index in range(settings.n):
        scene = draw_scene(settings, index)
        motion = Simulation(scene).run()
        renderer = Renderer(scene, settings.size, settings.samples)
        for t, camera in enumerate(scene.cameras):
            shapes = renderer.loaded(motion.positions[t], motion.rotations[t])
            sensor = renderer.sensor(camera, False)
            begun = time.process_time()
            engine.render(shapes, sensor=sensor, integrator=renderer.path, seed=t)
            spent += time.process_time() - begun
            frames += 1
    return round(frames / spent, 2)


def on_disk(settings: WorldSettings, processes: int) -> float:
    """Items a second of wall time, written as shards."""
    folder = Path(tempfile.mkdtemp())
    try:
        begun = time.perf_counter()
        render(settings.text, folder / "world", form="shards", processes=processes)
        return round(settings.n / (time.perf_counter() - begun), 2)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    watch = Stopwatch()
    watch.around(Simulation, "run", "physics")
    watch.around(Renderer, "__init__", "renderer")  # its surfaces
    watch.around(Renderer, "draw", "renderer")
    watch.around(items, "flow_between", "flow")
    watch.around(items, "synthesise", "sound")
    watch.around(items, "files", "encoding")
    for size in SIZES:
        for kind, n in (("images", count), ("videos", max(count // 16, 2))):
            settings = parse_world(f"world:{kind}?n={n}&size={size}")
            told = measure(settings, watch)
            told["bare_mitsuba_frames_per_second"] = bare(settings)
            print(json.dumps(told), flush=True)
    settings = parse_world(f"world:images?n={12 * count}&size={SIZES[0]}")
    rates = {n: on_disk(settings, n) for n in sorted({1, cores()})}
    print(json.dumps({"world": settings.text, "items_per_second_by_processes": rates}))


if __name__ == "__main__":
    main()
