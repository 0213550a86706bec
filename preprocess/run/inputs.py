"""What a stage reads of the stages before it."""

from pathlib import Path

from preprocess.clips import Medium, read_media, read_texts
from preprocess.store.shards import Shards


def model_digest(folder: Path) -> str:
    """What the stage `models` wrote about the network in a folder, with its digests."""
    return (folder / "model.json").read_text(encoding="utf-8")


class Inputs:
    """The outputs of earlier stages, as they lie in `data/`."""

    def media(self) -> list[Medium]:
        """Every clip with a medium, sorted by id."""
        return read_media()

    def texts(self) -> dict[str, str]:
        """Text by clip id, of every clip; "" where it will be transcribed."""
        return read_texts()

    def durations(self) -> dict[str, float]:
        """Seconds by clip id, of every clip with a medium."""
        return {item.clip_id: item.duration for item in self.media()}

    def output(self, stage: str) -> Shards:
        """What a stage over clips made."""
        return Shards(Path("data") / stage)

    def model(self, folder: Path) -> str:
        """`model_digest` of a network's folder."""
        return model_digest(folder)
