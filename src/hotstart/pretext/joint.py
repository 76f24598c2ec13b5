"""What several tasks at once have in common: what they read, how they learn, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import geometric_mean

from hotstart.data.sample import Spec
from hotstart.errors import UsageError
from hotstart.pretext.task import OptimiserSettings, PretextTask


def joint_needs(
    tasks: Mapping[str, PretextTask] | Mapping[str, type[PretextTask]],
) -> dict[str, Spec]:
    """What all of them read, where they agree on its form."""
    needs: dict[str, Spec] = {}
    for name, task in tasks.items():
        for key, spec in task.needs.items():
            if needs.setdefault(key, spec) != spec:
                raise UsageError(
                    f"--task {'+'.join(tasks)}: {name} needs {key!r} as {spec}, another task as "
                    f"{needs[key]}; combine tasks that need the same"
                )
    return needs


def joint_optimiser(classes: Sequence[type[PretextTask]], rows: int) -> OptimiserSettings:
    """That of the task with the lowest rate, but at the geometric mean of what each moves by alone.

    A task with a large batch has found its rate for steps that are larger in proportion. At the
    rate alone, in the smaller batch, it would hardly move.
    """
    lowest = min((cls.optimiser for cls in classes), key=lambda one: one.learning_rate)
    alike = [cls for cls in classes if cls.optimiser.name == lowest.name]
    move = geometric_mean(cls.optimiser.learning_rate * cls.batch_size for cls in alike)
    return lowest.model_copy(update={"learning_rate": float(f"{move / rows:.3g}")})


def check_orders(tasks: Iterable[str], ordered: Sequence[str]) -> None:
    """Before anything is made where the classes tell, before the first step where settings do."""
    if len(ordered) > 1:
        raise UsageError(
            f"--task {'+'.join(tasks)}: {' and '.join(ordered)} each load the pictures in an order "
            "of their own; combine one of them with other tasks"
        )
