"""The parameters of params.yaml: one frozen, validated model for each section.

Every key is required and has its value in params.yaml alone. This file only checks values and can change no result, so no
stage depends on it.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from contract import COLUMNS, NOISE_COLUMNS
from parameter import (
    ONE,
    SEVERAL,
    Aligning,
    Batch,
    Characters,
    Corruption,
    Count,
    Device,
    FolderName,
    Fraction,
    Label,
    Language,
    Layers,
    Noise,
    NotNegativeCount,
    Positive,
    Precision,
    Section,
    Seed,
    Sha256,
    Source,
    Threads,
    UpperLayers,
    problem,
)

PATH = Path("params.yaml")

RESERVED_COLUMNS = frozenset([*COLUMNS, *NOISE_COLUMNS])


class ParameterError(ValueError):
    """params.yaml is not valid; the message lists every key that is wrong."""


class Corpus(Section):
    root: str = Field(min_length=1)
    labels: list[Label] = Field(min_length=1)
    present_above: Annotated[float, Field(ge=0, le=1000)]
    max_refused: Fraction
    folds: int = Field(ge=0, le=10_000)
    fold: int = Field(ge=0, le=10_000)

    @model_validator(mode="after")
    def fold_is_one_of_the_folds(self) -> "Corpus":
        if self.folds in (1, 2) or self.fold >= max(self.folds, 1):
            raise ValueError(f"folds ({self.folds}) must be 0 or at least 3, and fold ({self.fold}) below it")
        return self

    @model_validator(mode="after")
    def labels_name_columns_once(self) -> "Corpus":
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        reserved = sorted(RESERVED_COLUMNS.intersection(self.labels))
        if twice or reserved:
            problem = f"labels given twice: {twice}" if twice else f"columns with another meaning: {reserved}"
            raise ValueError(f"each label must be a column of clips.csv by itself ({problem})")
        return self


class Features(Section):
    """A published feature file."""

    source: str = Field(min_length=1)
    labels: str = Field(min_length=1)
    tokens: list[Label] = Field(min_length=1)


class Run(Section):
    engine: Literal["processes", "ray"]
    workers: int = Field(ge=0, le=1024)
    device: Device
    devices: list[Annotated[int, Field(ge=0, le=1023)]]
    gpus: Annotated[float, Field(ge=0.01, le=1)]
    cpus: Annotated[float, Field(ge=0.01, le=1024)]
    address: Annotated[str, Field(pattern=r"^(|auto|[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$")]
    label: Annotated[str, Field(pattern=r"^(|[\w./-]+=[\w.-]+)$")]
    temporary: str
    store: str = Field(min_length=1)
    trackers: list[Literal["tensorboard", "mlflow", "dvclive"]]

    @model_validator(mode="after")
    def devices_are_named_once(self) -> "Run":
        if len(set(self.devices)) < len(self.devices):
            raise ValueError(f"devices ({self.devices}) must name each GPU once")
        return self

    @model_validator(mode="after")
    def several_machines_have_no_common_numbers(self) -> "Run":
        if self.engine == "ray" and self.device.startswith("cuda:"):
            raise ValueError(f"device ({self.device}) names a GPU of one machine: with engine ray, write cuda")
        return self

    @property
    def store_folder(self) -> Path:
        """The store's folder: below the main checkout, unless `store` is an absolute path.

        DVC runs queued experiments in copies of the repository; DVC_ROOT then names the main checkout.
        """
        return Path(os.environ.get("DVC_ROOT", ".")).resolve() / self.store


class Sample(Section):
    seed: Seed
    clips: int = Field(ge=12, le=1_000_000)
    speakers: int = Field(ge=12, le=64)
    frame_rate: int = Field(ge=15, le=30)
    blank_text: Fraction

    @model_validator(mode="after")
    def every_speaker_has_clips(self) -> "Sample":
        if self.clips % self.speakers:
            raise ValueError(f"clips ({self.clips}) must be a multiple of speakers ({self.speakers})")
        return self


class Model(Section):
    source: Source
    sha256: Sha256


# A network, or the same one behind several sources: the first that can be had is taken.
Pretrained = Annotated[
    Annotated[Model, Tag(ONE)] | Annotated[list[Model], Tag(SEVERAL), Field(min_length=1)],
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]


def models_of(network: Model | list[Model]) -> list[Model]:
    return network if isinstance(network, list) else [network]


class Models(Section):
    face: Pretrained
    asr: Pretrained
    audio: Pretrained
    text: Pretrained
    vision: Pretrained | None
    aligner: Pretrained | None


class Decoder(Section):
    ffmpeg: str = Field(min_length=1)
    max_seconds: int = Field(ge=1, le=1_000_000)
    max_output: int = Field(ge=1, le=10_000_000)
    max_memory: int = Field(ge=1000, le=1_000_000)


class Frames(Section):
    rate: Annotated[float, Field(ge=0.1, le=120)]
    max_side: int = Field(ge=64, le=4096)


class Faces(Section):
    min_confidence: Fraction
    max_faces: int = Field(ge=1, le=16)
    crop_size: int = Field(ge=32, le=1024, multiple_of=2)
    crop_margin: Annotated[float, Field(ge=0, le=2)]


class Transcripts(Section):
    language: Language
    aligner: Aligning
    characters: Characters
    silence: Annotated[float, Field(ge=0, le=25)]  # of Whisper's 30 s, some have to be left for the speech
    tokens_per_second: Annotated[float, Field(gt=0, le=50)]


class TuneText(Section):
    epochs: int = Field(ge=0, le=10_000)
    layers: UpperLayers
    precision: Precision
    lr: Annotated[float, Field(gt=0, le=1)]
    batch_size: Batch
    dropout: Annotated[float, Field(ge=0, le=0.99)]
    threads: Threads
    seed: Seed


class Tune(Section):
    text: TuneText


class EncodeText(Section):
    layer: Layers
    classifier: bool
    pooling: Literal["mean", "first", "last"]
    precision: Precision
    batch_size: Batch


class EncodeAudio(Section):
    features: Literal["network", "prosody", "both"]
    layer: Layers
    padded: bool
    precision: Precision
    batch_size: Batch


class EncodeVision(Section):
    features: Literal["blendshapes", "network", "both"]
    dynamics: bool
    layer: Layers
    pooling: Literal["first", "mean"]
    precision: Precision
    batch_size: Batch


class Encode(Section):
    text: EncodeText
    audio: EncodeAudio
    vision: EncodeVision


class Align(Section):
    mode: Literal["words", "none"]
    max_rows: Count
    hop: Annotated[float, Field(ge=0.001)]
    pooling: Literal["mean", "max", "mean_deviation"]
    context: Literal["none", "mean", "max", "mean_deviation"]
    normalise: list[Literal["text", "audio", "vision"]]


class Network(Section):
    """LDDU's network; the features' widths and the labels come from the tensors."""

    width: int = Field(ge=2, le=8192)
    latent: int = Field(ge=2, le=8192)
    layers: int = Field(ge=0, le=64)
    heads: Count
    feedforward: int = Field(ge=1, le=65536)
    positions: int = Field(ge=1, le=65536)
    dropout: Annotated[float, Field(ge=0, le=0.99)]
    head_dropout: Annotated[float, Field(ge=0, le=0.99)]
    input: Literal["standardise", "layernorm"]
    rows: Literal["all", "mean", "mean_deviation"]
    projections: Literal[1, 2]
    label_residual: bool
    activation: Literal["relu", "gelu"]
    info: Literal["shared", "per_label"]
    fusion: Literal["gate", "mean", "mu"]
    modality_dropout: Annotated[float, Field(ge=0, lt=1)]
    recompute: bool

    @model_validator(mode="after")
    def heads_divide_width(self) -> "Network":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


LossWeight = Annotated[float, Field(ge=0, le=1000)]


class Loss(Section):
    info: LossWeight
    contrast: LossWeight
    calibration: LossWeight
    ambiguity: LossWeight
    ordinality: LossWeight
    anchors: Literal["batch", "batch+queue"]
    negatives: Literal["all", "label"]
    features: Literal["both", "mu"]
    temperature: Annotated[float, Field(ge=0.001, le=1000)]
    queue: int = Field(ge=0, le=2**20)
    calibration_form: Literal["noise", "released"]
    sharpness: Annotated[float, Field(gt=0, le=1000)]
    noise: list[Noise]
    noised: Count

    @model_validator(mode="after")
    def ordinality_has_noise(self) -> "Loss":
        if self.ordinality and not self.noise:
            raise ValueError("noise must name at least one kind where ordinality is above 0")
        return self


class Train(Section):
    seed: Seed
    repeats: Count
    baseline: bool
    threads: int = Field(ge=1, le=1024)
    processes: int = Field(ge=1, le=64)
    precision: Literal["float32", "bfloat16"]
    epochs: Count
    patience: NotNegativeCount
    keep_epochs: bool
    batch_size: Count
    accumulate: Count
    lr: Positive
    weight_decay: Fraction
    warmup: Fraction
    gradient_norm: Positive
    averaging: Annotated[float, Field(ge=0, lt=1)]
    choose: Literal["bce", "micro_ap", "micro_f1"]
    targets: Literal["presence", "share", "classifier"]
    model: Network
    loss: Loss

    @model_validator(mode="after")
    def every_part_has_a_clip(self) -> "Train":
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate ({self.accumulate}) must be at most batch_size ({self.batch_size})")
        return self


class Evaluate(Section):
    threshold: Literal["one", "per_label"]
    threshold_step: Annotated[float, Field(ge=0.0001, le=0.5)]
    bins: int = Field(ge=2, le=100)
    risk: Annotated[float, Field(ge=0.001, le=0.5)] | None
    confidence: Annotated[float, Field(ge=0.5, le=0.9999)]


class Report(Section):
    clips: int = Field(ge=0, le=10_000)
    seed: Seed
    splits: Annotated[list[Literal["train", "valid", "test", "other"]], Field(min_length=1)]
    media: Literal["film", "copy", "none"]


class Robustness(Section):
    split: Literal["train", "valid", "test"]
    clips: int = Field(ge=1, le=1_000_000)
    seed: Seed
    kinds: list[Corruption] = Field(min_length=1)
    levels: list[Annotated[int, Field(ge=1, le=5)]] = Field(min_length=1)

    @model_validator(mode="after")
    def nothing_is_named_twice(self) -> "Robustness":
        if len(set(self.kinds)) < len(self.kinds) or len(set(self.levels)) < len(self.levels):
            raise ValueError(f"kinds ({', '.join(self.kinds)}) and levels ({self.levels}) must name each one once")
        return self


class Preparation(Section):
    """All parameters that turn a clip into rows of features; they are kept beside a trained network's weights."""

    models: Models
    decoder: Decoder
    frames: Frames
    faces: Faces
    transcripts: Transcripts
    tune: Tune
    encode: Encode
    align: Align

    @model_validator(mode="after")
    def the_network_that_aligns_is_used(self) -> "Preparation":
        if (self.transcripts.aligner == "ctc") != (self.models.aligner is not None):
            named = "names a network" if self.models.aligner else "is null"
            raise ValueError(
                f"transcripts.aligner is {self.transcripts.aligner}, and models.aligner {named}: "
                "ctc needs a network there, the other aligners use none"
            )
        return self

    @model_validator(mode="after")
    def a_classifier_was_tuned(self) -> "Preparation":
        if self.encode.text.classifier and not self.tune.text.epochs:
            raise ValueError("encode.text.classifier is true, so tune.text.epochs must be above 0: tuning makes the classifier")
        return self

    @model_validator(mode="after")
    def pictures_have_a_network(self) -> "Preparation":
        if self.encode.vision.features != "blendshapes" and self.models.vision is None:
            raise ValueError(f"encode.vision.features ({self.encode.vision.features}) needs a network under models.vision")
        return self


class Params(Preparation):
    corpus: Corpus
    tensors: str = Field(min_length=1)
    features: dict[FolderName, Features]
    run: Run
    sample: Sample
    train: Train
    evaluate: Evaluate
    report: Report
    robustness: Robustness

    @model_validator(mode="after")
    def the_classifier_that_teaches_is_encoded(self) -> "Params":
        if self.train.targets == "classifier" and not (self.encode.text.classifier and self.tensors == "data/tensors"):
            raise ValueError(
                "train.targets is classifier, so encode.text.classifier must be true and tensors data/tensors: "
                "what the classifier says is read there"
            )
        return self

    @model_validator(mode="after")
    def every_row_has_a_position(self) -> "Params":
        if self.align.mode == "words" and self.train.model.positions < self.align.max_rows:
            raise ValueError(
                f"train.model.positions ({self.train.model.positions}) must be at least align.max_rows ({self.align.max_rows})"
            )
        return self


def load(path: Path = PATH) -> Params:
    """Read and check params.yaml; raises ParameterError, which lists every wrong key with its value and what is valid."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{path} is not here: run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is no valid YAML: {error}") from None
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        problems = "\n".join(f"  {problem(dict(item))}" for item in error.errors())
        raise ParameterError(f"{path} cannot be used:\n{problems}") from None
