"""Networks of the kinds that users name, small and with random weights, saved as their makers save them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONVOLUTIONS = {"conv_dim": (8, 8), "conv_stride": (20, 16), "conv_kernel": (40, 20), "num_conv_pos_embeddings": 4}
CONVOLUTIONS |= {"num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 2}
WHISPER = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
LETTERS = ["|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'", *"我很高兴吗"]
TEXTS = ["I am glad", "so am I", "我很高兴吗"]


def bert(folder: Path) -> Path:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "gl", "##ad", "so", *"我很高兴吗"]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    hf.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return _saved(hf.BertModel(hf.BertConfig(vocab_size=len(pieces), **SIZES)), folder)


def roberta(folder: Path) -> Path:
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, vocab_size=300))
    hf.RobertaTokenizerFast(tokenizer_object=tokens).save_pretrained(folder)
    sizes = SIZES | {"vocab_size": tokens.get_vocab_size(), "max_position_embeddings": 24}
    return _saved(hf.RobertaModel(hf.RobertaConfig(**sizes)), folder)


def wav2vec2(folder: Path, norm: str = "layer") -> Path:
    hf.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)
    config = hf.Wav2Vec2Config(feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", **SIZES, **CONVOLUTIONS)
    return _saved(hf.Wav2Vec2Model(config), folder)


def hubert(folder: Path) -> Path:
    hf.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return _saved(hf.HubertModel(hf.HubertConfig(feat_extract_norm="layer", **SIZES, **CONVOLUTIONS)), folder)


def wavlm(folder: Path) -> Path:
    hf.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    return _saved(hf.WavLMModel(hf.WavLMConfig(feat_extract_norm="group", **SIZES, **CONVOLUTIONS)), folder)


def ctc(folder: Path) -> Path:
    (folder / "vocab.json").write_text(_json(["<pad>", "<unk>", *LETTERS]), encoding="utf-8")
    hf.Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), bos_token=None, eos_token=None, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    sizes = {"vocab_size": len(LETTERS) + 2, "pad_token_id": 0, "feat_extract_norm": "layer"}
    return _saved(hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**sizes, **SIZES, **CONVOLUTIONS)), folder)


def whisper(folder: Path) -> Path:
    hf.WhisperFeatureExtractor().save_pretrained(folder)
    sizes = {"encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return _saved(
        hf.WhisperForConditionalGeneration(hf.WhisperConfig(d_model=16, vocab_size=60, pad_token_id=0, **sizes)), folder
    )


def multilingual(folder: Path) -> Path:
    """A Whisper that has languages and tasks, and a word for each of its tokens."""
    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|zh|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|notimestamps|>",
    ]
    words = [*"abcdefgh", *special]
    tokens = Tokenizer(models.WordLevel(dict(zip(words, range(len(words)), strict=True)), unk_token="a"))
    tokens.add_special_tokens(special)
    hf.PreTrainedTokenizerFast(tokenizer_object=tokens).save_pretrained(folder)
    hf.WhisperFeatureExtractor().save_pretrained(folder)
    place = words.index
    sizes = {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "d_model": 16,
    }
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), place("<|endoftext|>"))
    config = hf.WhisperConfig(
        vocab_size=len(words),
        decoder_start_token_id=place("<|startoftranscript|>"),
        begin_suppress_tokens=None,
        **ends,
        **sizes,
    )
    network = hf.WhisperForConditionalGeneration(config)
    return _saved(_of_two_languages(network, place, ["translate", "transcribe"]), folder)


def whisper_of_bytes(folder: Path) -> Path:
    """A Whisper with two languages, whose tokens are the bytes of any text."""
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|transcribe|>", "<|notimestamps|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, vocab_size=290))
    hf.PreTrainedTokenizerFast(tokenizer_object=tokens).save_pretrained(folder)
    hf.WhisperFeatureExtractor().save_pretrained(folder)
    place = tokens.token_to_id
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), place(special[0]))
    config = hf.WhisperConfig(
        vocab_size=tokens.get_vocab_size(),
        decoder_start_token_id=place(special[1]),
        begin_suppress_tokens=None,
        **ends,
        **WHISPER,
    )
    network = hf.WhisperForConditionalGeneration(config)
    return _saved(_of_two_languages(network, place, ["transcribe"]), folder)


def _of_two_languages(
    network: hf.WhisperForConditionalGeneration, place: Callable[[str], int], tasks: list[str]
) -> hf.WhisperForConditionalGeneration:
    """The network, which knows the tokens of English, Chinese and these tasks; `place` gives a token's number."""
    said = network.generation_config
    said._from_model_config = False  # as those of published models
    said.is_multilingual, said.no_timestamps_token_id = True, place("<|notimestamps|>")
    said.lang_to_id = {token: place(token) for token in ("<|en|>", "<|zh|>")}
    said.task_to_id = {task: place(f"<|{task}|>") for task in tasks}
    return network


def clip(folder: Path) -> Path:
    hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    config = hf.CLIPConfig(
        text_config=SIZES | {"vocab_size": 20}, vision_config=SIZES | {"image_size": 32, "patch_size": 8}, projection_dim=8
    )
    return _saved(hf.CLIPModel(config), folder)


def vit(folder: Path) -> Path:
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return _saved(hf.ViTModel(hf.ViTConfig(image_size=32, patch_size=8, **SIZES)), folder)


def _saved(network: Any, folder: Path) -> Path:
    network.save_pretrained(folder)
    return folder


def _json(tokens: list[str]) -> str:
    import json

    return json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False)


def seeded(make: Any, folder: Path) -> Path:
    """The network that `make` saves into a new folder, the same whenever it is made."""
    folder.mkdir()
    hf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    return make(folder)
