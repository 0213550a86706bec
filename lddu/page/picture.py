"""A picture of the page."""

from dataclasses import dataclass

BROAD = 1000  # pixels; a wider picture cannot be read on a phone, and scrolls there


@dataclass(frozen=True)
class Picture:
    """A plot of training or evaluation, and how to read it."""

    title: str
    reading: str
    png: bytes

    @property
    def width(self) -> int:
        """Pixels; as `height`, from the PNG's first chunk."""
        return int.from_bytes(self.png[16:20])

    @property
    def height(self) -> int:
        return int.from_bytes(self.png[20:24])

    @property
    def broad(self) -> bool:
        return self.width > BROAD
