"""Stage encode_audio: states of a pretrained sound encoder, each with the time that it covers."""

from functools import partial
from itertools import groupby, tee
from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.encoders import states
from preprocess.encoders.networks import device as resolve
from preprocess.encoders.networks import require_layer
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

MODEL = Path("data/models/audio")


def states_of(task: Task, folder: Path, settings: params.EncodeAudio, model: Path, device: str) -> None:
    """One clip's states of sound."""
    states_of_several([task], [folder], settings, model, device)


def states_of_several(
    tasks: list[Task], folders: list[Path], settings: params.EncodeAudio, model: Path, device: str, together: int = 1
) -> None:
    """The sound states of several clips, `together` windows in a batch; ParameterError for a layer that the network lacks."""
    from preprocess.encoders import sound_encoder  # imports torch, which the parent process does without

    if settings.features != "prosody":
        require_layer("encode.audio.layer", settings.layer, model)
    clips = (sound_encoder.windows(Shards(Path(task.source)), task.clip_id, settings) for task in tasks)
    windows, inputs = tee((folder, window) for folder, of_clip in zip(folders, clips, strict=True) for window in of_clip)
    encoded = sound_encoder.encode_described((window for _, window in inputs), model, device, settings, together)
    for folder, of_folder in groupby(zip(windows, encoded, strict=True), key=lambda pair: pair[0][0]):
        with tables.Writer(folder / states.FILE) as table:
            for k, (_, window_states) in enumerate(of_folder):
                table.append(vars(states.later(window_states, k * sound_encoder.WINDOW)))


def job(settings: params.Params, inputs: Inputs) -> Job:
    encoding = settings.encode.audio
    device = resolve(settings.run.device, settings.run.engine == "ray")
    networks, unused = ([], {"batch_size"}) if encoding.features == "prosody" else ([MODEL], set())
    sounds = inputs.output("audio")
    seconds = inputs.durations()
    stage = Stage(
        name="encode_audio",
        module="preprocess.stages.encode_audio",
        work=partial(states_of, settings=encoding, model=MODEL, device=device),
        together=partial(states_of_several, settings=encoding, model=MODEL, device=device, together=encoding.batch_size),
        batch_size=encoding.batch_size if networks else 1,
        parameters=encoding.model_dump(exclude=unused),
        models=networks,
        environment=device,
        preload=["preprocess.encoders.sound_encoder"],
    )
    todo = [
        Task(clip_id, {"audio": digest}, seconds[clip_id], str(sounds.folder)) for clip_id, digest in sounds.digests.items()
    ]
    return Job(stage, todo)


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
