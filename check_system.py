"""Name what the system lacks, all of it at once, before anything is installed."""

import ctypes
import sys

# Debian's package by the library that MediaPipe and OpenCV link.
LIBRARIES = {"libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"}


def missing_packages() -> list[str]:
    found = []
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            found.append(package)
    return found


def problems() -> list[str]:
    found = []
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        found.append(f"Python 3.11 or 3.12 is needed, {sys.executable} is {version}: make PYTHON=python3.11 …")
    packages = missing_packages()
    if packages:
        found.append(f"system libraries are missing: apt-get install {' '.join(packages)} (or their like)")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
