"""Stage encode_text: states of a pretrained text encoder for the tokens of each clip's words."""

from functools import partial
from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.encoders import states
from preprocess.encoders.networks import device as resolve
from preprocess.encoders.networks import require_layer
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import words
from preprocess.store.shards import Shards

MODEL = Path("data/text_model")


def states_of(task: Task, folder: Path, settings: params.EncodeText, model: Path, device: str) -> None:
    """One clip's token states."""
    states_of_several([task], [folder], settings, model, device)


def states_of_several(
    tasks: list[Task], folders: list[Path], settings: params.EncodeText, model: Path, device: str, together: int = 1
) -> None:
    """The token states of several clips, `together` texts in a batch; ParameterError for a layer that the network lacks."""
    from preprocess.encoders import text_encoder  # imports torch, which the parent process does without

    require_layer("encode.text.layer", settings.layer, model)
    spoken = ([word.word for word in words.read(Shards(Path(task.source)), task.clip_id).words] for task in tasks)
    for folder, token_states in zip(folders, text_encoder.encode(spoken, model, device, settings, together), strict=True):
        states.write(folder, token_states)


def job(settings: params.Params, inputs: Inputs) -> Job:
    encoding = settings.encode.text
    device = resolve(settings.run.device, settings.run.engine == "ray")
    transcripts = inputs.output("transcripts")
    stage = Stage(
        name="encode_text",
        module="preprocess.stages.encode_text",
        work=partial(states_of, settings=encoding, model=MODEL, device=device),
        together=partial(states_of_several, settings=encoding, model=MODEL, device=device, together=encoding.batch_size),
        batch_size=encoding.batch_size,
        parameters=encoding.model_dump(),
        models=[MODEL],
        environment=device,
        preload=["preprocess.encoders.text_encoder"],
    )
    todo = [
        Task(clip_id, {"words": digest}, 0.0, str(transcripts.folder), transcripts.size(clip_id, words.FILE))
        for clip_id, digest in transcripts.digests.items()
    ]
    return Job(stage, todo)


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
