"""Whisper's weights in the format of CTranslate2, converted to a folder that transformers loads.

`model.bin` is a header, then for each variable its name, shape, type and bytes, then aliases of names; numbers are
little-endian. Every size is checked against the file before anything is read by it.
"""

import json
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from preprocess.encoders.networks import quiet

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
Named = tuple[str, torch.Tensor]
LANGUAGES = 99
END_OF_ENGLISH = 50256  # <|endoftext|> where the vocabulary is of English alone; the multilingual one is one longer
TIMESTAMPS_AND_TASKS = 1608  # special tokens after <|endoftext|> in every Whisper vocabulary up to large-v2


class FormatError(ValueError):
    """A file is not a CTranslate2 model of Whisper."""


@dataclass
class _Reader:
    data: memoryview
    at: int = 0

    def take(self, size: int) -> memoryview:
        if size > len(self.data) - self.at:
            raise FormatError(f"model.bin ends {size - len(self.data) + self.at} bytes too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code: str) -> int:
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        return bytes(self.take(self.number("H"))[:-1]).decode()

    def array(self) -> np.ndarray:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = self.number("B"), self.number("I")
        if kind not in TYPES:
            raise FormatError(f"model.bin has a variable of unknown type {kind}")
        return np.frombuffer(self.take(size), TYPES[kind]).reshape(shape)


def read(path: Path) -> dict[str, np.ndarray]:
    """Every variable of a `model.bin` by name, aliases included."""
    reader = _Reader(memoryview(path.read_bytes()))
    reader.number("I")  # version of the format
    if reader.text() != "WhisperSpec":
        raise FormatError(f"{path.name} is no Whisper model")
    reader.number("I")  # revision of the specification
    variables = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        variables[name] = reader.array()
    for _ in range(reader.number("I")):
        alias = reader.text()
        variables[alias] = variables[reader.text()]
    return variables


def state(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The variables under transformers' names."""
    weights = dict([*_stack(variables, "encoder"), *_stack(variables, "decoder")])
    for name in ("conv1", "conv2"):
        weights |= dict(_linear(variables, f"model.encoder.{name}", f"encoder/{name}"))
    embeddings = torch.tensor(variables["decoder/embeddings/weight"])
    return weights | {"model.decoder.embed_tokens.weight": embeddings, "proj_out.weight": embeddings}


def _stack(variables: dict[str, np.ndarray], side: str) -> Iterator[Named]:
    """Encoder or decoder: positions, layers, last norm."""
    root = f"model.{side}"
    yield f"{root}.embed_positions.weight", torch.tensor(variables[f"{side}/position_encodings/encodings"])
    yield from _norm(variables, f"{root}.layer_norm", f"{side}/layer_norm")
    for i in range(_layers(variables, side)):
        source, target = f"{side}/layer_{i}", f"{root}.layers.{i}"
        yield from _attention(variables, f"{target}.self_attn", f"{source}/self_attention", ["qkv"])
        if side == "decoder":
            yield from _attention(variables, f"{target}.encoder_attn", f"{source}/attention", ["q", "kv"])
        for name, stored in (("fc1", "linear_0"), ("fc2", "linear_1")):
            yield from _linear(variables, f"{target}.{name}", f"{source}/ffn/{stored}")
        yield from _norm(variables, f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")


def _attention(variables: dict[str, np.ndarray], target: str, source: str, products: list[str]) -> Iterator[Named]:
    """One attention: queries, keys and values, several of them stored as one matrix, then output and norm."""
    for i, kinds in enumerate(products):
        for part in ("weight", "bias"):
            rows = torch.tensor(variables[f"{source}/linear_{i}/{part}"]).chunk(len(kinds))
            for kind, values in zip(kinds, rows, strict=True):
                if (kind, part) != ("k", "bias"):  # Whisper's keys have none
                    yield f"{target}.{kind}_proj.{part}", values.clone()
    yield from _linear(variables, f"{target}.out_proj", f"{source}/linear_{len(products)}")
    yield from _norm(variables, f"{target}_layer_norm", f"{source}/layer_norm")


def _linear(variables: dict[str, np.ndarray], target: str, source: str) -> Iterator[Named]:
    for part in ("weight", "bias"):
        yield f"{target}.{part}", torch.tensor(variables[f"{source}/{part}"])


def _norm(variables: dict[str, np.ndarray], target: str, source: str) -> Iterator[Named]:
    for part, stored in (("weight", "gamma"), ("bias", "beta")):
        yield f"{target}.{part}", torch.tensor(variables[f"{source}/{stored}"])


def _layers(variables: dict[str, np.ndarray], side: str) -> int:
    return len({layer.group() for name in variables if (layer := re.match(rf"{side}/layer_\d+", name))})


def config(variables: dict[str, np.ndarray]) -> WhisperConfig:
    """The network's sizes, read from the shapes of its variables."""
    vocabulary, width = variables["decoder/embeddings/weight"].shape
    end = vocabulary - TIMESTAMPS_AND_TASKS
    return WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        num_mel_bins=variables["encoder/conv1/weight"].shape[1],
        encoder_layers=_layers(variables, "encoder"),
        decoder_layers=_layers(variables, "decoder"),
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        decoder_start_token_id=end + 1,
        eos_token_id=end,
        bos_token_id=end,
        pad_token_id=end,
        begin_suppress_tokens=[220, end],  # a lone space, and the end
        dtype="float16",
    )


def languages(tokenizer: Path, places: range) -> dict[str, int]:
    """The tokens that name a language, as <|en|>, by name."""
    tree = json.loads(tokenizer.read_text(encoding="utf-8"))
    return {token["content"]: token["id"] for token in tree["added_tokens"] if token["id"] in places}


def to_transformers(source: Path, target: Path) -> None:
    """Write the folder that `from_pretrained` loads; a weight that is missing or unexpected is an error."""
    variables = read(source / "model.bin")
    network = WhisperForConditionalGeneration(config(variables)).to(torch.float16)
    network.load_state_dict(state(variables), strict=True)
    end = network.config.eos_token_id
    network.generation_config._from_model_config = False  # otherwise loading the folder ignores what is set below
    network.generation_config.no_timestamps_token_id = end + 1 + LANGUAGES + 6
    network.generation_config.is_multilingual = end != END_OF_ENGLISH
    if network.generation_config.is_multilingual:
        network.generation_config.lang_to_id = languages(source / "tokenizer.json", range(end + 2, end + 2 + LANGUAGES))
        network.generation_config.task_to_id = {"translate": end + 2 + LANGUAGES, "transcribe": end + 3 + LANGUAGES}
    network.generation_config.alignment_heads = json.loads((source / "config.json").read_text(encoding="utf-8"))[
        "alignment_heads"
    ]
    with quiet():
        network.save_pretrained(target)
    WhisperFeatureExtractor(feature_size=network.config.num_mel_bins).save_pretrained(target)
    shutil.copy(source / "tokenizer.json", target / "tokenizer.json")
    text = "<|endoftext|>"
    tokenizer = {"tokenizer_class": "WhisperTokenizerFast", "errors": "replace", "model_max_length": 1024}
    tokenizer |= dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), text)
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2), encoding="utf-8")
