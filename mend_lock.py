"""Remove what DVC left of its lock when it was killed in writing it; its cache of runs has everything that the lock named."""

from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.utils import strictyaml

LOCKS = ("dvc.lock", "sample/dvc.lock", "preprocess/packs/dvc.lock")
CONFLICT = b"<<<<<<< "  # git's, which its user has to resolve


def main(root: Path) -> list[str]:
    """The names of the locks in a checkout that DVC would have refused, and that are removed now."""
    broken = []
    for name in LOCKS:
        path = root / name
        if not path.is_file() or CONFLICT in path.read_bytes():
            continue
        try:
            strictyaml.load(str(path), Lockfile.SCHEMA)
        except DvcException:
            path.unlink()
            broken.append(name)
    return broken


if __name__ == "__main__":
    for name in main(Path()):
        print(f"{name} was broken, by a DVC that was killed: removed; DVC finds in its cache what was done")
