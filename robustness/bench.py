"""The stages between a medium and rows of features, for one clip of which one modality is corrupted.

What is corrupted is a file again, and goes through the stages' own functions, each with the output of the one before. Of the
other modalities nothing is computed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import params
from preprocess.clips import Medium, Task
from preprocess.encoders import states
from preprocess.encoders.states import TimedStates, WordStates
from preprocess.refusals import Refusal, Refused
from preprocess.speech import words
from preprocess.speech.words import Transcript, Word
from preprocess.stages import audio, encode_audio, encode_text, encode_vision, faces, frames, transcripts
from preprocess.store import shards
from preprocess.store.entries import Store
from preprocess.store.shards import Shards

NETWORKS = Path("data/models")
TEXT_MODEL = Path("data/text_model")
SOUNDS = Path("data/audio")  # the clip's own sound, which helps to tell who of several people speaks


@dataclass
class Bench:
    """A folder in which a clip's stages are run one after the other."""

    clip_id: str
    folder: Path
    settings: params.Params
    device: str
    refused: list[Refused]  # what a stage could not do

    def output(self, stage: str) -> Shards | None:
        """A stage's output; None where it refused the clip, or did not run."""
        return Shards(self.folder / stage) if (self.folder / stage).is_dir() else None

    def hear(self, wave: Path, medium: Medium) -> None:
        """Stage audio of a sound file."""
        whole = replace(medium, start=0.0, end=medium.duration, reading={})
        self._run("audio", partial(audio.audio_of, decoder=self.settings.decoder), whole.decoding(Path()).content, wave)

    def encode_sound(self) -> TimedStates | None:
        if not self.output("audio"):
            return None
        setting, model = self.settings.encode.audio, NETWORKS / "audio"
        work = partial(encode_audio.states_of, settings=setting, model=model, device=self.device)
        self._run("encode_audio", work, {"audio": ""}, self.folder / "audio")
        encoded = self.output("encode_audio")
        return states.read_timed(encoded, self.clip_id) if encoded else None

    def look(self, film: Path, medium: Medium, size: tuple[int, int], has_sound: bool) -> TimedStates | None:
        """Stages frames, faces and encode_vision of a film whose pictures have this width and height."""
        settings, width, height = self.settings, *size
        of_film = replace(medium, start=0.0, end=medium.duration, reading={}, width=width, height=height)
        content = of_film.decoding(Path()).content
        work = partial(frames.frames_of, settings=settings.frames, decoder=settings.decoder)
        self._run("frames", work, content, film)
        if not self.output("frames"):
            return None
        find = partial(faces.faces_of, settings=settings, model=NETWORKS / "face", frames=self.folder / "frames", sounds=SOUNDS)
        content = {"frames": "", "sound": "yes" if has_sound else ""} | faces.original_content(of_film, settings, "")
        self._run("faces", find, content, film)
        if not self.output("faces"):
            return None
        encode = partial(
            encode_vision.states_of,
            rate=settings.frames.rate,
            settings=settings.encode.vision,
            model=NETWORKS / "vision",
            device=self.device,
        )
        self._run("encode_vision", encode, {"faces": ""}, self.folder / "faces")
        encoded = self.output("encode_vision")
        return states.read_timed(encoded, self.clip_id) if encoded else None

    def transcribe(self) -> list[Word]:
        """Stage transcripts of the sound that `hear` got; no words where nothing was understood."""
        if not self.output("audio"):
            return []
        work = partial(
            transcripts.transcript_of,
            settings=self.settings.transcripts,
            model=NETWORKS / "asr",
            aligner=NETWORKS / ("aligner" if self.settings.transcripts.aligner == "ctc" else "asr"),
            device=self.device,
        )
        self._run("transcripts", work, {"text": "", "sound": "yes"}, self.folder / "audio")
        heard = self.output("transcripts")
        return words.read(heard, self.clip_id).words if heard else []

    def encode_words(self, spoken: list[Word]) -> WordStates | None:
        """Stage encode_text of these words."""
        if not spoken:
            return None
        text = Transcript(" ".join(word.word for word in spoken), False, spoken)
        self._run("words", lambda _, target: write_words(target, text), {}, self.folder)
        work = partial(encode_text.states_of, settings=self.settings.encode.text, model=TEXT_MODEL, device=self.device)
        self._run("encode_text", work, {"words": ""}, self.folder / "words")
        encoded = self.output("encode_text")
        return states.read_words(encoded, self.clip_id) if encoded else None

    def _run(self, stage: str, work: Callable[[Task, Path], None], content: dict, source: Path) -> None:
        """Do a stage's work and write its output as the stage would; where it refuses the clip, keep the reason."""
        with TemporaryDirectory(dir=self.folder) as folder:
            files = Path(folder) / "entry"
            files.mkdir()
            try:
                work(Task(self.clip_id, content, 0.0, str(source)), files)
            except Refusal as refusal:
                self.refused.append(Refused(self.clip_id, stage, refusal.code, refusal.detail))
                return
            store = Store(Path(folder))
            store.add("entry", files)
            shards.write(self.folder / stage, {self.clip_id: store.path("entry")})


def write_words(folder: Path, transcript: Transcript) -> None:
    (folder / words.FILE).write_text(transcript.to_json(), encoding="utf-8")
