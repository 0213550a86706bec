"""Speech in a hundred languages by eSpeak NG; the package espeakng-loader has the library and the voices."""

import ctypes
from functools import cache

import espeakng_loader
import numpy as np
import torch
import torchaudio

RATE = 16000
AT_ONCE, UTF8 = 2, 1  # samples are handed over before a call returns; the encoding of texts
SPEED = 1  # number of the parameter: words a minute
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Voice:
    def __init__(self) -> None:
        self.samples: list[np.ndarray] = []
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self.library.espeak_Initialize(AT_ONCE, 0, espeakng_loader.get_data_path().encode(), 0)
        self.callback = Callback(self._keep)  # must live as long as the library
        self.library.espeak_SetSynthCallback(self.callback)

    def _keep(self, samples: object, count: int, _: object) -> int:
        if samples and count > 0:
            self.samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, language: str, speed: int) -> np.ndarray:
        self.samples.clear()
        if self.library.espeak_SetVoiceByName(language.encode()):
            raise ValueError(f"eSpeak NG has no voice {language}")
        self.library.espeak_SetParameter(SPEED, speed, 0)
        encoded = text.encode()
        self.library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8, None, None)
        return np.concatenate(self.samples).astype(np.float32) / 32768


@cache
def voice() -> Voice:
    return Voice()


def say(text: str, language: str, speed: int = 160) -> np.ndarray:
    """A spoken sentence (n,) float32 at 16 kHz; a language as eSpeak NG names it: cmn, ja, th, ar, he."""
    wave = torch.from_numpy(voice().say(text, language, speed))
    return torchaudio.functional.resample(wave, voice().rate, RATE).numpy()
