"""The progress bar of a stage: clips per second, how many times faster than real time, and the time left."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(items: Iterable[Item], stage: str, clips: int, seconds_of: "dict[str, float] | None" = None) -> Iterator[Item]:
    """Yield the items and draw the bar; an item with a `clip_id` adds that clip's `seconds_of` media."""
    media = 0.0
    with tqdm(total=clips, desc=stage, unit="clip", smoothing=0.05) as bar:
        for item in items:
            bar.update()
            media += (seconds_of or {}).get(getattr(item, "clip_id", ""), 0.0)
            if media:
                bar.set_postfix_str(f"{media / max(bar.format_dict['elapsed'], 1e-9):.1f}x real time", refresh=False)
            yield item
