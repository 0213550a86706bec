"""What the pipeline files of DVC say of a stage, and what holds for every stage because DVC runs it."""

from pathlib import Path
from typing import Any

import yaml

import params
from params import ParameterError, Params

ABSENT = object()
FILES = (Path("dvc.yaml"), Path("sample/dvc.yaml"), Path("preprocess/packs/dvc.yaml"), Path("robustness/dvc.yaml"))


def require_unchanged(settings: Params, stage: str) -> None:
    """At the end of a stage: ParameterError where params.yaml no longer has the values that the stage worked with.

    DVC notes the values that it finds when a stage ends, beside the stage's output. Values that were edited meanwhile would
    be noted beside an output of others, and restored with it from then on.
    """
    keys = keys_of(stage)
    if not keys:  # no DVC here
        return
    try:
        current = yaml.safe_load(params.PATH.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ParameterError(f"{params.PATH} cannot be read any more ({error}): mend it and run again") from None
    worked_with = settings.model_dump()
    edited = [key for key in keys if leaf(current, key) != leaf(worked_with, key)]
    if edited:
        raise ParameterError(
            f"{', '.join(edited)} changed in params.yaml while the stage ran: its output belongs to the former values. "
            "Run again, with the values that you want; finished clips are kept"
        )


def keys_of(stage: str) -> list[str]:
    """The parameters that DVC notes for a stage, such as `align` or `corpus.labels`; none where there is no pipeline file.

    `<name>@<item>` is a stage that a pipeline file writes once for several items (`foreach`).
    """
    name, _, item = stage.partition("@")
    trees = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES if path.is_file()]
    stages = [tree["stages"][name] for tree in trees if name in tree.get("stages", {})]
    return [key.replace("${key}", item) for content in stages for key in content.get("do", content).get("params", [])]


def leaf(tree: Any, key: str) -> Any:
    """The value of a dotted key; ABSENT where there is no such key."""
    for name in key.split("."):
        tree = tree.get(name, ABSENT) if isinstance(tree, dict) else ABSENT
    return tree
