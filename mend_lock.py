"""Delete a lock file that DVC left half written because it was killed; run cache and clip store have what was done."""

from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.utils import strictyaml

import pipeline

CONFLICT = b"<<<<<<< "  # a merge conflict of git's, which the user has to resolve


def main(root: Path) -> list[str]:
    """Delete the lock files in a checkout that DVC cannot read; returns their names."""
    broken = []
    for lock in (file.with_suffix(".lock") for file in pipeline.FILES):
        path = root / lock
        if not path.is_file() or CONFLICT in path.read_bytes():
            continue
        try:
            strictyaml.load(str(path), Lockfile.SCHEMA)
        except DvcException:
            path.unlink()
            broken.append(str(lock))
    return broken


if __name__ == "__main__":
    for name in main(Path()):
        print(f"{name} was broken (DVC was killed while it wrote it) and is deleted; finished work is not lost")
