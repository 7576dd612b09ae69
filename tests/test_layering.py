"""Imports point downward. The table of floors is here; DESIGN's floors and this table are the same list.

A room is a module or package directly under `fmnist`. It may import rooms of lower floors and, on its own floor, the
rooms to its left, wherever in the file the import stands. What a room may take from outside is checked too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

FLOORS = (
    ("errors", "setting", "model_config", "config", "presets", "lock", "rundir", "history", "contents"),
    ("data", "images", "torch_file", "metrics", "calibration", "familiarity", "early_stopping", "diagnosis"),
    (
        *("engine", "environment", "mixing", "augment", "models", "initial", "optimizers", "averaging"),
        *("distillation", "outputs", "stage"),
    ),
    (
        "checkpoints",
        "progress",
        "budget",
        "training",
        "plots",
        "predictor",
        "teacher",
        "evaluation",
        "export",
        "benchmark",
    ),
    ("rendering", "report", "pipeline", "study", "doctor"),
    ("web", "cli"),
    ("__init__", "__main__"),
)
PLACE = {room: (floor, place) for floor, rooms in enumerate(FLOORS) for place, room in enumerate(rooms)}

# All that these floors may import from outside the standard library, inside functions too.
ALLOWED = {0: {"numpy"}, 1: {"numpy", "PIL", "sklearn"}}
# Never at the top of a module of the command line: `fmnist --help` answers in under half a second.
HEAVY = {
    "fastapi",
    "gradio",
    "jax",
    "jinja2",
    "keras",
    "matplotlib",
    "PIL",
    "scipy",
    "sklearn",
    "tensorflow",
    "torch",
    "uvicorn",
}
LIGHT_ROOMS = {"cli", "__init__", "__main__"}
# What differs by backend sits in one room; the converters of another are TensorFlow's own.
BACKENDS = {"jax", "tensorflow", "torch"}
BACKEND_ROOMS = {"engine", "export"}


def modules() -> dict[str, str]:
    """Source text by module name; a package's own name ends in `.__init__`."""
    paths = sorted((SOURCE / "fmnist").rglob("*.py"))
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts): path.read_text("utf-8") for path in paths}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports(module: str, source: str) -> Iterator[tuple[str, int, bool, bool]]:
    """Yield (absolute name, line, at module level, for type checkers only) for each name imported."""

    def walk(node: ast.AST, top: bool, typing_only: bool) -> Iterator[tuple[str, int, bool, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join(package + ([node.module] if node.module else []))
            # `from fmnist import x` names the room x; anything deeper is told by its module.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "fmnist" else [base]
            yield from ((name, node.lineno, top, typing_only) for name in names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for part in node.body:
                yield from walk(part, top, True)
            for part in node.orelse:
                yield from walk(part, top, typing_only)
        else:
            inside = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for part in ast.iter_child_nodes(node):
                yield from walk(part, inside, typing_only)

    yield from walk(ast.parse(source), True, False)


def problems(sources: dict[str, str]) -> list[str]:
    """Every breach of the table in the given modules, as `module:line: what is wrong`."""
    found = []
    for module, source in sources.items():
        room = room_of(module)
        if room not in PLACE:
            found.append(f"{module}: room '{room}' is unknown; give it a floor in tests/test_layering.py")
            continue
        floor = PLACE[room][0]
        for name, line, top, typing_only in imports(module, source):
            here, package = f"{module}:{line}", name.split(".")[0]
            if package == "fmnist":
                target = room_of(name)
                if target not in PLACE:
                    found.append(f"{here}: '{name}' is no room; rooms import rooms, not the public names")
                elif target != room and PLACE[room] < PLACE[target]:
                    found.append(f"{here}: '{room}' (floor {floor}) imports '{target}' (floor {PLACE[target][0]})")
            elif typing_only or package in sys.stdlib_module_names:
                continue
            elif package not in ALLOWED.get(floor, {package}):
                found.append(f"{here}: floor {floor} must not import '{package}'")
            elif package in BACKENDS and room not in BACKEND_ROOMS:
                found.append(f"{here}: '{package}' is a backend; only {sorted(BACKEND_ROOMS)} may import one")
            elif package in HEAVY and top and room in LIGHT_ROOMS:
                found.append(f"{here}: '{package}' is heavy; import it inside the function that needs it")
    return found


def test_imports_point_downward():
    assert not problems(modules()), "\n" + "\n".join(problems(modules()))


def test_every_listed_room_exists():
    missing = PLACE.keys() - {room_of(module) for module in modules()}
    assert not missing, f"no such room in src/fmnist: {sorted(missing)}; take it out of FLOORS"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("fmnist.config", "import fmnist.training", "'config' (floor 0) imports 'training' (floor 3)"),
        ("fmnist.config", "def load():\n    from fmnist.cli import main", "fmnist.config:2: 'config' (floor 0)"),
        ("fmnist.config", "from fmnist import rundir", "'config' (floor 0) imports 'rundir' (floor 0)"),
        ("fmnist.config", "if TYPE_CHECKING:\n    from .data import Dataset", "imports 'data' (floor 1)"),
        ("fmnist.data.idx", "from ..metrics import accuracy", "imports 'metrics' (floor 1)"),
        ("fmnist.data.__init__", "from .. import cli", "imports 'cli' (floor 5)"),
        ("fmnist.data.idx", "def read():\n    import keras", "floor 1 must not import 'keras'"),
        ("fmnist.data.idx", "import fmnist", "imports '__init__'"),
        ("fmnist.config", "try:\n    import tensorflow.data\nexcept ImportError:\n    pass", "floor 0 must not import"),
        ("fmnist.models.tiny", "def build():\n    import tensorflow as tf", "'tensorflow' is a backend"),
        ("fmnist.cli.train", "class Command:\n    from PIL import Image", "'PIL' is heavy"),
        ("fmnist.attic", "", "'attic' is unknown; give it a floor in tests/test_layering.py"),
        ("fmnist.cli.train", "from fmnist import train", "'fmnist.train' is no room"),
    ],
)
def test_the_checker_sees(module: str, source: str, complaint: str):
    found = problems({module: source})
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("fmnist.rundir", "from fmnist.config import Config\nfrom .errors import RunError"),
        ("fmnist.data.__init__", "from .idx import read\nfrom fmnist.data import sources\nimport numpy, gzip"),
        ("fmnist.models.fast", "import keras\nfrom keras import ops\nfrom fmnist import errors"),
        ("fmnist.engine", "def threads():\n    import tensorflow"),
        ("fmnist.cli.train", "import click\ndef command():\n    from fmnist import pipeline, training\n    import PIL"),
        ("fmnist.data.idx", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras"),
    ],
)
def test_the_checker_allows(module: str, source: str):
    assert problems({module: source}) == []


def loaded_by(statements: str, packages: set[str]) -> set[str]:
    """Which of the packages a new Python has loaded after the statements."""
    code = f"{statements}\nimport sys\nprint(*sorted({packages!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_fmnist_loads_nothing_heavy():
    assert loaded_by("import fmnist", HEAVY | {"numpy", "click", "tqdm"}) == set()


def test_the_command_line_loads_nothing_heavy():
    """Each command's module is imported, as for its `--help`; what these import counts too."""
    commands = "from fmnist.cli import COMMANDS\nfor module, _ in COMMANDS.values(): __import__(module)"
    assert loaded_by(commands, HEAVY) == set()


def test_the_loading_check_sees():
    assert loaded_by("import numpy", HEAVY | {"numpy"}) == {"numpy"}
