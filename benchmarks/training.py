"""Time and memory of a training step at the released sizes, of each of its parts, and of evaluation.

`python -m benchmarks.training` measures every case in a process of its own and writes logs/benchmarks/training.json. Where that
file exists, each number is compared with the earlier one. Times are medians. Memory is the peak above what the process held
before its first step.
"""

import process

process.configure_libraries()  # before torch is imported, as the commands do

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.records import Record
from lddu import noise
from lddu.batches import Batch, Share
from lddu.device import accelerator as accelerator_on
from lddu.engine import AdamW, Step, decay_groups, predict, train_epoch
from lddu.losses import LDDULoss, LossConfig
from lddu.model import LDDU, LDDUConfig, LDDUOutput
from lddu.noise import Noise

ROWS = 50
RELEASED = {"contrast": 1.0, "anchors": "batch+queue", "calibration_form": "released", "ordinality": 0.0}
PARTS = ("info", "contrast", "calibration", "ordinality")
MEBIBYTE = 2**20


def clips(batch_size: int, device: torch.device) -> Batch:
    """Random clips with ROWS rows of the released widths, none of them moptions."""
    generator = torch.Generator().manual_seed(0)
    dims = LDDUConfig().dims
    return Batch(
        features={m: torch.randn(batch_size, ROWS, d, generator=generator).to(device) for m, d in dims.items()},
        masks={m: torch.ones(batch_size, ROWS, dtype=torch.bool, device=device) for m in dims},
        labels=(torch.rand(batch_size, LDDUConfig().labels, generator=generator) < 0.25).float().to(device),
        wanted=torch.randn(batch_size, len(dims), LDDUConfig().labels, 2, generator=generator).to(device),
    )


def peak(accelerator: Accelerator) -> float:
    """The most memory in MiB that this process has held; on the GPU, where it works on one."""
    if accelerator.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / MEBIBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median(work: Callable[[], object], accelerator: Accelerator, repeats: int) -> float:
    """Median seconds of a call, after one call that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def fade(x: Tensor, level: Tensor) -> Tensor:
    """Noise of the kind `faded`, for features whose mean is 0."""
    zero = x.new_zeros(x.shape[-1])
    return noise.faded(x, level, noise.Reference(zero, zero, zero[None]))


def step_case(device: str, threads: int, precision: str, repeats: int, batch_size: int, queue: int, loss: dict) -> dict:
    """A whole training step: forward, losses, backward, clipping, optimizer."""
    accelerator = accelerator_on(device, threads, precision)
    model = LDDU(LDDUConfig()).to(accelerator.device)
    losses = LDDULoss(model.config, LossConfig(queue=queue, **loss)).to(accelerator.device)
    optimizer = AdamW(decay_groups(torch.nn.ModuleList([model, losses]), 0.01), fused=True)
    batch = clips(batch_size, accelerator.device)
    noised: dict[str, Noise] = {"text": fade} if losses.config.ordinality else {}
    if queue and losses.config.contrast:  # a full queue, as in all steps but the first
        losses.queue.features.copy_(torch.nn.functional.normalize(torch.randn_like(losses.queue.features)))
        losses.queue.classes.random_(0, losses.kinds)
    before = peak(accelerator)

    def step() -> None:
        share = Share([batch], [batch_size])
        train_epoch(model, losses, [share], [Step(0, noised)], [2e-4], optimizer, accelerator, 1.0)

    seconds = median(step, accelerator, repeats)
    return {"seconds": seconds, "clips_a_second": batch_size / seconds, "peak_mib": peak(accelerator) - before}


def parts_case(device: str, threads: int, precision: str, repeats: int) -> dict:
    """Evaluation, forward pass, and each loss by itself (forward and backward), of 64 clips with a full queue."""
    accelerator = accelerator_on(device, threads, precision)
    model, batch = LDDU(LDDUConfig()).to(accelerator.device), clips(64, accelerator.device)
    seconds = {"evaluation": median(lambda: predict(model, [batch], accelerator), accelerator, repeats)}
    model.train()

    def forward() -> None:
        with accelerator.autocast():
            Step(0).read(model, batch, 0, 0, 64)

    seconds["forward"] = median(forward, accelerator, repeats)
    output = Step(0, {"text": fade}).read(model, batch, 0, 0, 64)
    for name in ("bce", *PARTS):
        weights: dict[str, Any] = {part: float(part == name) for part in PARTS}
        losses = LDDULoss(model.config, LossConfig(**weights)).to(accelerator.device)
        if name == "contrast":
            losses.queue.classes.random_(0, losses.kinds)
        leaves = {key: x.detach().requires_grad_(x.is_floating_point()) for key, x in output.tensors().items()}

        def both_ways(losses: LDDULoss = losses, leaves: dict[str, Tensor] = leaves) -> None:
            losses(LDDUOutput.of(leaves), batch["labels"])[0].backward()

        seconds[name] = median(both_ways, accelerator, repeats)
    return {f"{name}_seconds": value for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    run = (options.device, options.threads, options.precision, options.repeats)
    cases: dict[str, tuple] = {
        f"step, batch {size}, queue {queue}": (step_case, *run, size, queue, {})
        for size, queue in ((16, 8192), (64, 0), (64, 1024), (64, 8192), (256, 8192))
    }
    cases["step as released, batch 64, queue 8192"] = (step_case, *run, 64, 8192, RELEASED)
    cases["parts, batch 64, queue 8192"] = (parts_case, *run)
    record = Record("training", f"torch {torch.__version__}, {run}")
    for name, (work, *arguments) in cases.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            record.add(name, process.submit(work, *arguments).result())
    record.write()


if __name__ == "__main__":
    main()
