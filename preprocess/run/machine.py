"""What decides about the bytes of a clip besides its key's parts: the machine. A worker elsewhere compares its own with this.

The keys of the store hold the vector instructions, the kind of GPU, the libraries and the decoder of the machine that runs
the stage. A worker whose machine differs would store other bytes under them, and so takes no clip.
"""

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from preprocess.run import sources
from preprocess.store import entries

DECODER = "preprocess.media.decoder"


@dataclass(frozen=True)
class Machine:
    python: str  # major and minor version
    vectors: str  # vector instructions of the processor
    gpu: str  # kind of GPU; "" where the stage uses none
    libraries: dict[str, str]  # version of every library that the stage rests on
    ffmpeg: str  # first line of `ffmpeg -version`; "" where the stage decodes nothing


def of_stage(module: str, gpu: str, ffmpeg: str) -> Machine:
    """This machine, as far as the results of a stage's module depend on it. `ffmpeg` is the parameter `decoder.ffmpeg`."""
    decoder = _ffmpeg_version(ffmpeg) if DECODER in sources.modules(module) else ""
    return Machine(_python(), entries.capability(), gpu, dict(sources.libraries(module)), decoder)


def like(wanted: Machine, gpu: str, ffmpeg: str) -> Machine:
    """This machine, as far as `wanted` describes one."""
    libraries = {name: _installed(name) for name in wanted.libraries}
    decoder = _ffmpeg_version(ffmpeg) if wanted.ffmpeg else ""
    return Machine(_python(), entries.capability(), gpu if wanted.gpu else "", libraries, decoder)


def capability(gpu: str) -> str:
    """What a store key holds of a machine: its vector instructions, and the kind of GPU where one is used."""
    return f"{entries.capability()} {gpu}".strip()


def differences(wanted: Machine, found: Machine) -> list[str]:
    """What would change bytes on the machine `found`, each as the rest of a sentence that begins with the machine's name."""
    lines = []
    if found.vectors != wanted.vectors:
        lines.append(
            f"has a processor with {found.vectors}, and the stage's clips are of one with {wanted.vectors}: "
            "choose nodes of one kind (with Ray by run.label, with Slurm by --constraint)"
        )
    if found.gpu != wanted.gpu:
        nodes = "choose nodes of one kind (with Ray by run.label, with Slurm by --constraint)"
        own = f"has {'the GPU ' + found.gpu if found.gpu else 'no GPU'}"
        lines.append(
            f"{own}, and the stage's clips are of {wanted.gpu or 'a processor'}: "
            + (nodes if wanted.gpu else "write cpu as run.device, or run the stage on a machine with that GPU")
        )
    if found.python != wanted.python:
        lines.append(f"has Python {found.python} instead of {wanted.python}: use one environment for all nodes")
    others = [
        f"{name} {found.libraries.get(name) or 'not at all'} instead of {number}"
        for name, number in wanted.libraries.items()
        if found.libraries.get(name) != number
    ]
    if others:
        lines.append(f"has {', '.join(others)}: run `make install` there")
    if found.ffmpeg != wanted.ffmpeg:
        lines.append(
            f"has the decoder {found.ffmpeg!r} instead of {wanted.ffmpeg!r}: name one ffmpeg in decoder.ffmpeg for all"
        )
    return lines


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _ffmpeg_version(chosen: str) -> str:
    """Imported only here: what rests on this module would else rest on the decoder, and be done again when that changes."""
    decoder = importlib.import_module(DECODER)
    try:
        return str(decoder.ffmpeg_version(chosen))
    except decoder.MediaError as error:  # it does not start: no machine on which it does is alike
        return str(error)
