"""Which sound of a medium is heard: whether a track can be decoded, and whether its channels can be mixed."""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

TRIES = 100  # packets of a track that are decoded to see whether any can be
BLOCK = 10.0  # seconds of a long sound that are listened to at a time
HEARD = 600.0  # seconds that are listened to at most, in blocks spread evenly
LOSS = 10**0.6  # 6 dB: power of the loudest channel over that of the mix from which on the channel is taken


def is_named(sound: Any) -> bool:
    """Whether the file says which channel is left, right and so on; there is a standard way to mix only those."""
    return not sound.layout.name.endswith("channels")


def can_be_decoded(container: Any, index: int) -> bool:
    """Whether one of the first packets of a stream gives a frame."""
    packets = zip(range(TRIES), _packets(container, index), strict=False)
    return any(_decoded(packet) for _, packet in packets)


def loudest(container: Any, index: int, duration: float) -> int:
    """The channel that a mix would weaken by more than 6 dB, as where channels cancel or most are silent; -1: mix all."""
    powers = np.zeros(0)
    for samples, mix in _heard(container, index, duration):
        power = np.array([*np.square(samples).sum(1), np.square(mix).sum()])
        if len(power) != len(powers):  # at the beginning; a broadcast may change its channels on the way
            powers = np.zeros(len(power))
        powers += power
    if len(powers) < 3 or powers[:-1].max() <= LOSS * powers[-1]:
        return -1
    return int(powers[:-1].argmax())


def _heard(container: Any, index: int, duration: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples (channels, n) from -1 to 1 and their mix (n,), of the whole sound or of blocks that lie evenly over it."""
    every = max(1, int(np.ceil(duration / HEARD)))
    mixers: dict[tuple[str, str, int], av.AudioResampler] = {}
    for packet in _packets(container, index):
        if packet.pts is not None and int(packet.pts * packet.time_base / BLOCK) % every:
            continue
        for frame in _decoded(packet):
            samples = _samples(frame)
            if is_named(frame):
                kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                mixer = mixers.setdefault(kind, av.AudioResampler("s16p", "mono"))  # of integers: never above full scale
                yield samples, np.concatenate([piece.to_ndarray()[0] for piece in mixer.resample(frame)]) / 32768
            else:
                yield samples, samples.mean(0)


def _samples(frame: Any) -> np.ndarray:
    """Of a decoded frame, (channels, n) float from -1 to 1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype == np.uint8:
        return (values - 128.0) / 128
    return values / np.iinfo(values.dtype).max if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)


def _packets(container: Any, index: int) -> Iterator[Any]:
    """The packets of a stream; where the file is broken, those before."""
    try:
        yield from container.demux(container.streams[index])
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        pass


def _decoded(packet: Any) -> list[Any]:
    """The frames of a packet; none where it is broken."""
    try:
        return list(packet.decode())
    except av.error.MemoryError:
        raise
    except (av.FFmpegError, ValueError):
        return []
