"""The failure of a decoder as the refusal of a clip."""

from collections.abc import Iterator
from contextlib import contextmanager

from preprocess.media.decoder import DecoderKilledError
from preprocess.media.probe import DecoderStoppedError, MediaError
from preprocess.refusals import Code, Refusal


@contextmanager
def refused(unreadable: Code) -> Iterator[None]:
    """Refuse the clip where its medium cannot be decoded; `unreadable` is the code of a medium that is broken."""
    try:
        yield
    except DecoderStoppedError as error:
        raise Refusal(Code.DECODER_STOPPED, str(error)) from None
    except DecoderKilledError as error:
        raise Refusal(Code.WORKER_DIED, str(error)) from None
    except MediaError as error:
        raise Refusal(unreadable, str(error)) from None
