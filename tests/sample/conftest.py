"""A small sample corpus, and eyes to look at it with."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import Workspace


@dataclass(frozen=True)
class SampleCorpus:
    """A corpus folder in a workspace."""

    workspace: Workspace

    @property
    def folder(self) -> Path:
        return self.workspace.folder / "data/sample"

    def rows(self, table: str = "clips.csv") -> list[dict[str, str]]:
        with (self.folder / table).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def words(self) -> dict[str, list[dict[str, str]]]:
        """The rows of truth.csv by clip."""
        said: dict[str, list[dict[str, str]]] = {}
        for row in self.rows("truth.csv"):
            said.setdefault(row["clip_id"], []).append(row)
        return said

    def film(self, row: dict[str, str]) -> str:
        return str(self.folder / row["media"])

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def corpus(sample_run: Workspace) -> SampleCorpus:
    """The small corpus of the run that all tests share, made by as many workers as there are cores."""
    return SampleCorpus(sample_run)


@pytest.fixture(scope="session")
def again(elsewhere: Workspace) -> SampleCorpus:
    """The same corpus made elsewhere by another number of workers."""
    return SampleCorpus(elsewhere)


@dataclass(frozen=True)
class Seen:
    landmarks: NDArray[np.float64]  # (478, 2), widths and heights of the picture
    blendshapes: dict[str, float]


Look = Callable[[NDArray[np.uint8]], Seen | None]


@pytest.fixture(scope="session")
def look(models: Path) -> Iterator[Look]:
    """What the face landmarker sees in a single BGR picture; None: no face."""
    import mediapipe as mp
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(models / "face/face_landmarker.task")), output_face_blendshapes=True
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:

        def seen(picture: NDArray[np.uint8]) -> Seen | None:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture[..., ::-1]))
            found = landmarker.detect(image)
            if not found.face_landmarks:
                return None
            points = np.array([[point.x, point.y] for point in found.face_landmarks[0]])
            return Seen(points, {shape.category_name: shape.score for shape in found.face_blendshapes[0]})

        yield seen


def pictures(film: str) -> list[NDArray[np.uint8]]:
    with av.open(film) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def sound(film: str, rate: int = 16000) -> NDArray[np.int16]:
    """Mono at `rate` hertz."""
    resampler: Any = av.AudioResampler("s16", "mono", rate)
    with av.open(film) as container:
        frames = [part for frame in [*container.decode(audio=0), None] for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in frames])
