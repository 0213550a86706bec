"""Name everything that the system lacks, at once, before anything is installed."""

import ctypes
import sys

# The Debian package of each library that MediaPipe and OpenCV need.
LIBRARIES = {"libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"}


def missing_packages() -> list[str]:
    missing = []
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def problems() -> list[str]:
    lines = []
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        lines.append(f"Python 3.11 or 3.12 is needed, {sys.executable} is {version}: make PYTHON=python3.11 …")
    packages = missing_packages()
    if packages:
        lines.append(f"system libraries are missing: apt-get install {' '.join(packages)} (or their like)")
    return lines


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
