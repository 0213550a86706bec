"""Which stages of `dvc.yaml` have other parameters than in their last run, and which stages run after those."""

from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

import params
import pipeline

LOCK = Path("dvc.lock")


def changed(settings: params.Params) -> dict[str, list[str]]:
    """The parameters that differ from `dvc.lock`, by stage, as `faces.min 2 -> 3`; stages that never ran are left out."""
    if not LOCK.is_file():
        return {}
    locked = (YAML(typ="safe").load(LOCK) or {}).get("stages", {})  # as DVC writes it: 5e-05 is a number in YAML 1.2 alone
    values = settings.model_dump()
    differing = {}
    for stage, entry in locked.items():
        former = entry.get("params", {}).get("params.yaml", {})
        lines = [line for key, value in former.items() for line in _differences(key, value, pipeline.leaf(values, key))]
        if lines:
            differing[stage] = lines
    return differing


def _differences(key: str, former: Any, value: Any) -> list[str]:
    """A line for each value below a key that differs."""
    if isinstance(former, dict) and isinstance(value, dict):
        names = sorted(former.keys() | value.keys())
        return [line for name in names for line in _differences(f"{key}.{name}", former.get(name), value.get(name))]
    return [] if former == value else [f"{key} {former!r} -> {value!r}"]


def after(stages: set[str], settings: params.Params) -> list[str]:
    """These stages and all that read what they make, in the order of `dvc.yaml`."""
    tree = yaml.safe_load(pipeline.FILES[0].read_text(encoding="utf-8"))["stages"]
    reached = set(stages)
    for _ in tree:  # as many rounds as a chain of stages can be long
        made = [_filled(path, settings) for name in reached & tree.keys() for path in _outputs(tree[name])]
        reached |= {
            name for name, stage in tree.items() for path in stage.get("deps", []) if _meets(_filled(path, settings), made)
        }
    return [name for name in tree if name in reached]


def _outputs(stage: dict[str, Any]) -> list[Any]:
    return [path for kind in ("outs", "metrics", "plots") for path in stage.get(kind, [])]


def _filled(path: Any, settings: params.Params) -> str:
    """A path of `dvc.yaml` with the values of parameters in place of their names."""
    name = next(iter(path)) if isinstance(path, dict) else str(path)
    return name.replace("${corpus.root}", settings.corpus.root).replace("${tensors}", settings.tensors)


def _meets(path: str, made: list[str]) -> bool:
    return any(Path(path).is_relative_to(out) or Path(out).is_relative_to(path) for out in made)
