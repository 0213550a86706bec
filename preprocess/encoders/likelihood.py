"""How likely Whisper finds texts for a sound: the log-probability of their tokens when the decoder is given them.

Unlike a transcription this says something of a text in noise too, where the network by itself would write other words. The
*gain* of a word is how much likelier it is in the sound than in silence: a rare word that is said is unlikely, and has a large
gain; a word that only goes well with those before it has none.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from preprocess.encoders.attention import MAX_TOKENS, prompt, spell
from preprocess.encoders.networks import inference, load, preparer
from preprocess.encoders.whisper import listen
from preprocess.media.sound import SAMPLE_RATE

NOTHING = 3.0  # seconds of silence that a text is compared with


def gains(
    folder: Path, states: Tensor, texts: list[list[str]], silence: float, device: str, language: str
) -> list[list[float]]:
    """The gain of each word of each text, as `words.said` has them; 0 for a word that is not said.

    `states` (T, D) are those of a sound with so many seconds of silence after it.
    """
    heard = scores(folder, states, texts, device, language)
    unheard = scores(folder, nothing(folder, silence, device), texts, device, language)
    gains = []
    for words, score, guess in zip(texts, heard, unheard, strict=True):
        text = spell(words, preparer(AutoTokenizer, folder))
        of_words = [0.0 for _ in words]
        for gain, (first, last) in zip((score - guess).tolist(), text.characters, strict=False):
            owner = max(text.owners[first:last], default=-1)
            if owner >= 0:
                of_words[owner] += gain
        gains.append([round(gain, 2) for gain in of_words])
    return gains


@cache
def nothing(folder: Path, silence: float, device: str) -> Tensor:
    """States of the encoder for silence."""
    return listen(folder, np.zeros(int(NOTHING * SAMPLE_RATE), np.float32), silence, device)


@inference()
def scores(folder: Path, states: Tensor, texts: list[list[str]], device: str, language: str) -> list[np.ndarray]:
    """For each text, given as its words, the log-probabilities (tokens + 1,) of its tokens, and that it then ends.

    `states` (T, D) are the encoder's. A text of more than MAX_TOKENS is cut there.
    """
    network, tokenizer = load(WhisperForConditionalGeneration, folder, device), preparer(AutoTokenizer, folder)
    start, end = prompt(network, language), network.config.eos_token_id
    tokens = [spell(words, tokenizer).tokens[:MAX_TOKENS] for words in texts]
    longest = max(map(len, tokens))
    ids = torch.tensor([[*start, *of_text, *[end] * (longest + 1 - len(of_text))] for of_text in tokens], device=device)
    encoded = BaseModelOutput(last_hidden_state=states[None].expand(len(tokens), -1, -1))
    logits = network(encoder_outputs=encoded, decoder_input_ids=ids[:, :-1]).logits[:, len(start) - 1 :]
    likely = logits.float().log_softmax(-1).gather(2, ids[:, len(start) :, None])[..., 0].cpu().numpy()
    return [row[: len(of_text) + 1] for row, of_text in zip(likely, tokens, strict=True)]
