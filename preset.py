"""`python -m preset presets/<name>.yaml`: write the values of a preset into params.yaml."""

import sys
from pathlib import Path

import params
from params import ParameterError


def apply(preset: Path, path: Path = params.PATH) -> None:
    """Write a preset's values into params.yaml and keep its comments.

    Raises ParameterError, and writes nothing, where the preset does not exist or its values are not valid.
    """
    from ruamel.yaml import YAML

    if not preset.is_file():
        presets = ", ".join(sorted(file.stem for file in preset.parent.glob("*.yaml"))) or "none"
        raise ParameterError(f"{preset} does not exist; presets that do: {presets}")
    editor = YAML()
    editor.preserve_quotes, editor.width = True, 4096
    editor.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))
    tree = editor.load(path)
    _merge(tree, editor.load(preset) or {})
    draft = path.with_suffix(".draft")
    editor.dump(tree, draft)
    try:
        params.load(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _merge(tree: dict, values: dict) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict) and tree[key]:
            _merge(tree[key], value)
        else:
            tree[key] = value


if __name__ == "__main__":
    try:
        apply(Path(sys.argv[1]))
    except ParameterError as error:
        sys.exit(str(error))
