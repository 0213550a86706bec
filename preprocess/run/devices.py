"""The GPUs of this machine, and which of them each worker is given.

A worker is pinned before it imports torch: CUDA_VISIBLE_DEVICES names its GPU alone, which torch then calls `cuda`.
"""

import os
from collections.abc import Sequence
from itertools import cycle, islice

import params
from params import ParameterError
from preprocess.run import cuda

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """How CUDA_VISIBLE_DEVICES names the GPUs that this process may use: by the variable, or else all of the machine."""
    named = os.environ.get(VISIBLE)
    return [str(i) for i in range(len(cuda.kinds()))] if named is None else [name.strip() for name in named.split(",") if name]


def chosen(run: params.Run) -> list[str]:
    """The GPUs that `run.devices` numbers among the visible ones; all of those where it is empty.

    ParameterError for a number that there is none of.
    """
    names = visible()
    absent = [number for number in run.devices if number >= len(names)]
    if absent:
        seen = f"numbered 0 to {len(names) - 1}" if names else "in sight of this process"
        raise ParameterError(
            f"run.devices names {', '.join(map(str, absent))}, and {os.uname().nodename} has {len(names)} GPUs {seen}: "
            "name those, or write [] for all"
        )
    return [names[number] for number in run.devices] or names


def spread(run: params.Run, cores: int) -> list[str]:
    """The GPU of each worker, in turn: as many workers as there are cores, and at most 1 / `run.gpus` for a GPU.

    Empty where no GPU is in sight.
    """
    names = chosen(run)
    most = len(names) * int(1 / run.gpus + 1e-9)
    return list(islice(cycle(names), min(run.workers or cores, most)))


def kind(run: params.Run, kinds: Sequence[str] | None = None) -> str:
    """The kind of the chosen GPUs; "" where there is none. ParameterError where they are of several, whose sums differ.

    `kinds` are those of the visible GPUs, by default of this machine.
    """
    names, kinds = visible(), cuda.kinds() if kinds is None else kinds
    if run.device.startswith("cuda:"):
        return kinds[int(run.device.partition(":")[2])]
    if len(kinds) < len(names):  # the variable names some that are not there, and CUDA sees those before them
        return next(iter(kinds), "")
    numbers: dict[str, list[str]] = {}
    for name in chosen(run):
        numbers.setdefault(kinds[names.index(name)], []).append(name)
    if len(numbers) > 1:
        found = "; ".join(f"{', '.join(of_kind)}: {kind}" for kind, of_kind in numbers.items())
        raise ParameterError(
            f"the GPUs of {os.uname().nodename} are of several kinds, which would not make the same bytes ({found}): "
            "name those of one kind in run.devices"
        )
    return next(iter(numbers), "")
