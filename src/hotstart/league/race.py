"""Runs a race from whatever state its folder is in to the encoder that wins.

Everyone's run is planned whole, with the steps of the last rung, and pauses where a rung ends: a
survivor goes on from there, so the winner's is the run that `pretrain` with as many steps gives.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from hotstart.config import PretrainSettings
from hotstart.downstream.features import recalibrate_batchnorm
from hotstart.encoders import Encoder, EncoderSpec, build_encoder
from hotstart.errors import HotstartError, TrainingError, UsageError
from hotstart.league.alone import alone
from hotstart.league.contenders import Contender
from hotstart.league.entrants import Listener, begin, enter, open_data
from hotstart.league.halving import LEAST_STEPS, make_plan, stops
from hotstart.league.judge import Judge, Judged
from hotstart.league.laps import Lap, read_laps, write_laps
from hotstart.league.material import material_of
from hotstart.league.measures import data_key
from hotstart.league.opening import Caching
from hotstart.league.pretraining import make_ready, run_in
from hotstart.league.race_settings import Race, RaceSettings
from hotstart.training import folder as files
from hotstart.training.device import pick_device
from hotstart.training.heldout import SCORED_EXAMPLES
from hotstart.training.pause import pace_of, train_to
from hotstart.training.train import make_fabric

LOCK, LOGS = "race.lock", "logs"
CONTROL = "random"
SHARE_FOR_TIMING = 0.1
"""Of the budget, for all contenders together."""


@dataclass(frozen=True)
class Finish:
    """How a race ended. laps: `random` first, then what each contender did in each rung."""

    folder: Path
    winner: str
    run: Path
    race: Race
    laps: tuple[Lap, ...]

    @property
    def best(self) -> Lap:
        """The winner's last one."""
        return next(lap for lap in reversed(self.laps) if lap.contender == self.winner)

    @property
    def control(self) -> Lap:
        """That of `random`."""
        return self.laps[0]

    @property
    def beats_random(self) -> bool:
        """Whether the winner measures more than the same network at random."""
        by = self.race.asked.by
        return (self.best.judged.value(by) or 0.0) > (self.control.judged.value(by) or 0.0)

    @property
    def out(self) -> dict[str, str]:
        """Of those who could not go on: why."""
        return {lap.contender: lap.out for lap in self.laps if lap.out}

    @property
    def seconds(self) -> float:
        """What all of it took, but for reading the data."""
        beside = self.race.calibration_seconds + self.race.finish_seconds
        return beside + sum(lap.seconds for lap in self.laps)

    def told(self) -> dict[str, Any]:
        """Everything as plain values."""
        race = self.race
        return {
            "folder": str(self.folder),
            "winner": self.winner,
            "run": str(self.run),
            "by": race.asked.by,
            "beats_random": self.beats_random,
            "seconds": round(self.seconds, 3),
            "rungs": [asdict(rung) for rung in race.rungs],
            "steps": race.steps,
            "laps": [lap.told() for lap in self.laps],
            "out": self.out,
            "left_out": race.left_out,
        }


def run_race(
    asked: RaceSettings,
    folder: Path,
    *,
    listener: Listener | None = None,
    caching: Caching = None,
) -> Finish:
    """Begin the race in `folder`, or go on with it: what is done is never done again.

    listener: called with events of the kinds `found` (sentences on the data), `left_out`,
        `timing`, `planned`, `lap_start`, `told` (an event of a run's log), `lap_end`, `finishing`
    Raises UsageError where `folder` holds another race, or one that is being run, TrainingError
    where no contender is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, LOCK, "race"):
        return _Course(asked, folder, listener or (lambda event: None), caching).run()


class _Course:
    """A race in its folder."""

    def __init__(self, asked: RaceSettings, folder: Path, tell: Listener, caching: Caching) -> None:
        self.asked, self.folder, self.tell = asked, folder, tell
        self.device = pick_device(asked.accelerator)
        self.fabric: Fabric | None = None
        datasets = open_data(asked, folder, tell, caching)
        self.dataset = datasets[asked.data]
        self.race = begin(asked, folder, datasets)
        self.laps = read_laps(folder)
        judged = asked.judged
        self.judge = Judge(
            self.dataset,
            None if judged is None else datasets[data_key(judged.kind, judged.data)],
            protocol="knn" if judged is None else judged.protocols[0],
            share=asked.labels,
            seed=asked.seed,
            device=self.device,
        )

    def run(self) -> Finish:
        entered, left_out = enter(self.asked, self.dataset)
        if not self.laps:
            self._judge_random(next(iter(entered.values())).settings)
        if not self.race.steps:
            self._plan(entered, left_out)
        for name, problem in self.race.left_out.items():
            self.tell({"kind": "left_out", "contender": name, "problem": problem})
        race = self.race
        self.tell({"kind": "planned", "race": race, "laps": tuple(self.laps)})
        living = list(race.steps)
        for number in range(1, len(race.rungs) + 1):
            for name in living:
                if self._lap_of(number, name) is None:
                    self._run_lap(number, name, entered[name])
            living = self._best(number, living)
            if not living:
                told = "; ".join(f"{lap.contender}: {lap.out}" for lap in self.laps if lap.out)
                raise TrainingError(f"no contender of the race in {self.folder} is left: {told}")
            after = race.rungs[number:]
            living = living[: after[0].contenders if after else 1]
        return self._finish(living[0], entered[living[0]])

    def _judge_random(self, settings: PretrainSettings) -> None:
        """The control: the weights that everyone begins with."""
        began = time.perf_counter()
        spec = EncoderSpec(name=settings.encoder, size=settings.size, stem=settings.stem)
        encoder = build_encoder(spec, settings.seed).to(self.device)
        items = material_of(settings.task, self.dataset).train
        items = items[np.argsort(self.dataset.hashes[items], kind="stable")]
        recalibrate_batchnorm(encoder, self.dataset, items[:SCORED_EXAMPLES])
        self._keep(Lap(0, CONTROL, 0, 0.0, self.judge(encoder)), began)

    def _plan(self, entered: dict[str, Contender], left_out: dict[str, str]) -> None:
        """Time everyone, and see how many steps fit what is left of the minutes."""
        began = time.perf_counter()
        budget = self.asked.minutes * 60
        each = budget * SHARE_FOR_TIMING / len(entered)
        judging = self.laps[0].seconds
        step_seconds: dict[str, float] = {}
        beside: dict[str, float] = {}
        finish = 0.0
        for number, (name, one) in enumerate(entered.items()):
            self.tell({"kind": "timing", "contender": name, "done": number, "total": len(entered)})
            try:
                fabric = self._fabric(one.settings)
                material = material_of(one.settings.task, self.dataset)
                pace = pace_of(one.settings, material, fabric, each)
            except Exception as error:
                left_out = {**left_out, name: self._told(name, error)}
                continue
            step_seconds[name] = pace.step_seconds
            beside[name] = pace.prepare_seconds + judging
            scoring = SCORED_EXAMPLES / one.settings.batch_size * pace.step_seconds
            finish = max(finish, scoring + beside[name])
        if not step_seconds:
            told = "; ".join(f"{name}: {left_out[name]}" for name in entered)
            raise TrainingError(f"nobody could be timed: {told}")
        spent = time.perf_counter() - began
        left = budget - spent - judging
        plan = make_plan(left, step_seconds, beside, finish, self.asked.halving)
        if not plan.steps:
            raise UsageError(
                f"--minutes {self.asked.minutes:g} is too little for a race of {len(entered)}: "
                f"after {spent:.0f} s of timing nobody has {LEAST_STEPS} steps in the first rung, "
                "and time to be judged; give more minutes, or fewer --tasks"
            )
        for name in plan.slow:
            left_out[name] = (
                f"too slow for --minutes {self.asked.minutes:g}: a step takes "
                f"{step_seconds[name]:.2g} s, and its part of the first rung has no room for "
                f"{LEAST_STEPS}; give more minutes, or fewer --tasks"
            )
        most = {name: entered[name].counted for name in plan.steps}  # of tasks that need no more
        steps = {name: min(count, most[name] or count) for name, count in plan.steps.items()}
        self.race = replace(
            self.race,
            calibration_seconds=round(spent, 3),
            step_seconds={name: round(step_seconds[name], 6) for name in steps},
            steps=steps,
            rungs=plan.rungs,
            left_out=left_out,
        )
        self.race.write(self.folder)

    def _run_lap(self, number: int, name: str, one: Contender) -> None:
        """Take a contender to the end of the rung, and judge it; or find out why it cannot."""
        began = time.perf_counter()
        steps = self.race.steps[name]
        stop = stops(self.race.rungs, steps)[number - 1]
        settings = one.with_seed(self.asked.seed, steps)
        run = self.folder / name
        told = {"rung": number, "contender": name, "stop": stop, "steps": steps}
        self.tell({"kind": "lap_start", **told})
        run.mkdir(exist_ok=True)
        files.write_settings(run, settings)
        # What is wrong with the disk or the data is nobody's fault, and ends the race for now.
        fabric = self._fabric(settings)
        material, _ = make_ready(settings, self.dataset, run, fabric)

        at = 0

        def listen(event: dict[str, Any]) -> None:
            nonlocal at
            at = event.get("step", at - 1) + 1
            self.tell({"kind": "told", "contender": name, "event": event})

        try:
            encoder: Encoder = train_to(settings, material, run, fabric, stop, listen)
            at, judged = stop, self.judge(encoder)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            judged = Judged(problem=self._told(name, error))
        self._keep(Lap(number, name, at, 0.0, judged), began)

    def _keep(self, lap: Lap, began: float) -> None:
        lap = replace(lap, seconds=round(time.perf_counter() - began, 3))
        self.laps.append(lap)
        write_laps(self.folder, self.laps)
        self.tell({"kind": "lap_end", "lap": lap})

    def _finish(self, name: str, one: Contender) -> Finish:
        """The winner's run, with its score, its pictures and `encoder.safetensors`."""
        run = self.folder / name
        if self.race.winner is None:
            self.tell({"kind": "finishing", "contender": name})
            settings = one.with_seed(self.asked.seed, self.race.steps[name])
            began = time.perf_counter()
            run_in(settings, self.dataset, run, self._fabric(settings), None)
            took = round(time.perf_counter() - began, 3)
            self.race = replace(self.race, winner=name, finish_seconds=took)
            self.race.write(self.folder)
        return Finish(self.folder, name, run, self.race, tuple(self.laps))

    def _lap_of(self, number: int, name: str) -> Lap | None:
        return next((p for p in self.laps if (p.rung, p.contender) == (number, name)), None)

    def _best(self, number: int, living: list[str]) -> list[str]:
        """Those without a problem, the best first."""
        laps = [lap for name in living if (lap := self._lap_of(number, name)) and not lap.out]
        laps.sort(key=lambda lap: -(lap.judged.value(self.asked.by) or 0.0))
        return [lap.contender for lap in laps]

    def _fabric(self, settings: PretrainSettings) -> Fabric:
        if self.fabric is None:
            self.fabric = make_fabric(settings)
            self.fabric.launch()
        return self.fabric

    def _told(self, name: str, error: Exception) -> str:
        """What went wrong, in one sentence; of what nobody expected, more lies in `logs/`."""
        if isinstance(error, HotstartError):
            return str(error)
        log = self.folder / LOGS / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return f"unexpected {type(error).__name__}: {error} (more in {log})"
