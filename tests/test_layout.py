"""A floor of preprocess/ imports only what lies below it, in no circle; preprocess/ never imports lddu/."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

from preprocess.run import sources
from tests.conftest import ROOT

# Of preprocess/, from the ground up; what stands in one line knows nothing of its neighbours.
FLOORS = [
    ["header"],
    ["refusals", "clips", "corpus"],
    ["store"],
    ["media"],
    ["run", "downloads"],
    ["face", "speech"],
    ["encoders"],
    ["corpora"],
    ["packs"],
    ["stages"],
    ["recording", "overview", "audit"],
    ["__main__"],
]
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
KNOW_PREPROCESS = ("lddu.page", "lddu.prediction")


def modules_in(package: str) -> list[str]:
    files = [path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")]
    return sorted(".".join(path.with_suffix("").parts) for path in files if path.name != "__init__.py")


def imported_by(module: str) -> set[str]:
    """The modules of the three packages that a module imports, anywhere in its text."""
    return {found for item in sources.imports(module) if "." in (found := sources.module_of(item))}


def room_of(module: str) -> str:
    return module.split(".")[1]


ROOMS = modules_in("preprocess")


def test_every_module_has_its_floor() -> None:
    assert {room_of(module) for module in ROOMS} == set(HEIGHT)


@pytest.mark.parametrize("module", ROOMS)
def test_a_floor_imports_only_what_lies_below(module: str) -> None:
    own = room_of(module)
    for other in imported_by(module):
        assert room_of(other) == own or HEIGHT[room_of(other)] < HEIGHT[own], f"{module} imports {other}"


@pytest.mark.parametrize("package", ["preprocess", "lddu", "sample"])
def test_no_module_imports_itself_through_others(package: str) -> None:
    tuple(TopologicalSorter({module: imported_by(module) for module in modules_in(package)}).static_order())


def test_stages_import_no_other_stage() -> None:
    assert not [
        (module, other) for module in ROOMS for other in imported_by(module) if "stages" == room_of(module) == room_of(other)
    ]


def test_only_stages_of_the_pipeline_stand_among_the_stages() -> None:
    commands = [
        found[1]
        for name in ("dvc.yaml", "preprocess/packs/dvc.yaml")
        for stage in yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["stages"].values()
        if (found := re.match(r"python -m preprocess (\w+)", stage.get("do", stage)["cmd"]))
    ]
    assert sorted(path.stem for path in (ROOT / "preprocess/stages").glob("[!_]*.py")) == sorted(commands)


def test_preprocess_never_imports_lddu() -> None:
    assert not [module for module in ROOMS for other in imported_by(module) if other.startswith("lddu")]


def test_in_lddu_only_the_page_and_the_prediction_know_preprocess() -> None:
    knowing = {module for module in modules_in("lddu") if any(other.startswith("preprocess") for other in imported_by(module))}
    assert {module.rpartition(".")[0] for module in knowing} == set(KNOW_PREPROCESS)


LONGEST_FILE, LONGEST_FUNCTION = 350, 48  # lines
IN_ONE_SITTING = {"lddu/model.py"}  # the whole network in reading order


def test_files_and_functions_are_short() -> None:
    files = [path for package in sources.PACKAGES for path in [*(ROOT / package).rglob("*.py"), *ROOT.glob(f"{package}.py")]]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name for name, lines in lengths.items() if lines > LONGEST_FILE} <= IN_ONE_SITTING
    functions = [
        (path.name, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert [function for function in functions if function[2] > LONGEST_FUNCTION] == []


def test_packages_hold_nothing_in_their_init_files() -> None:
    """The digests of sources do not read them."""
    files = [path for package in ("preprocess", "sample") for path in (ROOT / package).rglob("__init__.py")]
    assert len(files) > 10
    assert not [path for path in files if path.read_bytes()]


@pytest.mark.parametrize("folder", sorted({str(Path(*module.split(".")[:-1])) for module in [*ROOMS, *modules_in("lddu")]}))
def test_tests_stand_where_the_code_does(folder: str) -> None:
    tests = ROOT / "tests" / folder
    assert not [path for path in tests.glob("*.py") if re.match(r"test_", path.name) and not (ROOT / folder).is_dir()]
    assert tests.is_dir()
