"""Kinds of media files by FFmpeg's names: those that are read, and the name of one that is not."""

import re
from typing import Any

import av
import av.logging

# Containers and bare streams that hold one recording and that FFmpeg reads from the file alone. Playlists are left out, since
# they name other files; so are still pictures, which are no recordings.
CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,gif,h264,hevc,ivf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,m4v,mp3,"
    "mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,voc,w64,wav,wtv,wv"
)

# Not containers but bare streams of one codec: FFmpeg guesses their duration from their beginning. Bare pictures have no times,
# and a picture of a GIF is drawn over those before it, so both are decoded from the first picture on.
PICTURES = {"h264", "hevc", "m4v", "mpegvideo"}
SOUNDS = {"aac", "ac3", "amr", "dts", "eac3", "mp3"}
FROM_THE_START = PICTURES | {"gif"}

# In words, where FFmpeg's own long name would puzzle.
WORDS = {"tty": "plain text", "image2": "a still picture", "hls": "a playlist (HLS)", "dash": "a playlist (DASH)"}


def kind_of(container: Any) -> str:
    """FFmpeg's short name of an open container's format, as `mov` or `matroska`."""
    return str(container.format.name).partition(",")[0]


def refused_kind(url: str, options: dict[str, str]) -> str:
    """Why a file that could not be opened is of no kind that is read; "" where it is of such a kind, but broken."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.DEBUG)
    try:
        with av.logging.Capture() as lines, av.open(url, options=options):
            return ""
    except (av.FFmpegError, ValueError):
        pass
    finally:
        av.logging.set_level(level)
    formats = [match[1] for _, _, text in lines if (match := re.match(r"Format (\S+) probed with", text))]
    if formats and any("not on whitelist" in text for _, _, text in lines):
        return f"it is of the kind {_in_words(formats[0])}, which is not read; these are: {_those_read()}"
    return "" if formats else f"FFmpeg finds no kind of recording in it; those it reads are: {_those_read()}"


def _in_words(name: str) -> str:
    if name in WORDS:
        return WORDS[name]
    try:
        return f"{name} ({av.ContainerFormat(name, 'r').long_name})"
    except ValueError:
        return name


def _those_read() -> str:
    return ", ".join(sorted(CONTAINERS.split(",")))
