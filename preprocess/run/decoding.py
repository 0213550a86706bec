"""What the stages that decode media with ffmpeg have in common."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import params
from preprocess.media.decoder import ffmpeg_version, limits_of
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage


def job(
    name: str, work: Callable[..., None], settings: params.Params, inputs: Inputs, parameters: dict[str, Any], modality: str
) -> Job:
    """A stage that decodes every clip whose medium has a modality, `picture` or `sound`.

    `work(task, folder, decoder=...)` decodes one clip; `parameters` are those that it takes besides the section `decoder`.
    """
    decoder = settings.decoder
    limits = limits_of(decoder)
    stage = Stage(
        name=name,
        module=f"preprocess.stages.{name}",
        work=partial(work, decoder=decoder),
        parameters=parameters | decoder.model_dump(exclude=set(limits)),
        environment=ffmpeg_version(decoder.ffmpeg),
        limits=limits,
    )
    root = Path(settings.corpus.root)
    return Job(stage, [medium.decoding(root) for medium in inputs.media() if getattr(medium, modality)])
