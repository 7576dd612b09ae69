"""Imports point downward, and no file imports itself through others. The table of rooms is here, a row a room.

A room is a module or package directly under `fmnist`. It may import the rooms above it in the table, wherever in the
file the import stands. What a room may take from outside is checked too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# A row a room: what it may import from outside the standard library, inside functions too; None: anything.
ROOMS: dict[str, set[str] | None] = {
    "errors": set(),
    "text": set(),
    "system": set(),
    "config": set(),
    "run": {"numpy", "keras", "filelock", "pydantic"},
    "backend": None,
    "data": {"numpy", "filelock", "platformdirs"},
    "images": {"numpy", "PIL", "pillow_heif", "pyarrow"},
    "models": None,
    "evaluation": None,
    "diagnosis": {"numpy"},
    "predictor": None,
    "training": None,
    "export": None,
    "report": None,
    "web": None,
    "pipeline": None,
    "audit": None,
    "study": None,
    "integrations": {"numpy", "pandas", "sklearn"},
    "track": None,
    "doctor": None,
    "cli": None,
    "__init__": set(),
    "__main__": set(),
}
PLACE = {room: place for place, room in enumerate(ROOMS)}

# Never at the top of a module of the command line: `fmnist --help` answers in under half a second.
HEAVY = {
    "fastapi",
    "gradio",
    "jax",
    "jinja2",
    "keras",
    "matplotlib",
    "optuna",
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
BACKEND_ROOMS = {"backend", "export"}


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
            found.append(f"{module}: room '{room}' is unknown; give it a row in tests/test_layering.py")
            continue
        allowed = ROOMS[room]
        for name, line, top, typing_only in imports(module, source):
            here, package = f"{module}:{line}", name.split(".")[0]
            if package == "fmnist":
                target = room_of(name)
                if target not in PLACE:
                    found.append(f"{here}: '{name}' is no room; rooms import rooms, not the public names")
                elif target != room and PLACE[room] < PLACE[target]:
                    found.append(f"{here}: '{room}' imports '{target}', which stands below it")
            elif typing_only or package in sys.stdlib_module_names:
                continue
            elif allowed is not None and package not in allowed:
                found.append(f"{here}: '{room}' must not import '{package}'")
            elif package in BACKENDS and room not in BACKEND_ROOMS:
                found.append(f"{here}: '{package}' is a backend; only {sorted(BACKEND_ROOMS)} may import one")
            elif package in HEAVY and top and room in LIGHT_ROOMS:
                found.append(f"{here}: '{package}' is heavy; import it inside the function that needs it")
    return found


def test_imports_point_downward():
    assert not problems(modules()), "\n" + "\n".join(problems(modules()))


def test_every_listed_room_exists():
    missing = PLACE.keys() - {room_of(module) for module in modules()}
    assert not missing, f"no such room in src/fmnist: {sorted(missing)}; take it out of ROOMS"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("fmnist.run.lock", "import fmnist.training", "'run' imports 'training'"),
        ("fmnist.run.lock", "def load():\n    from fmnist.cli import main", "fmnist.run.lock:2: 'run' imports 'cli'"),
        ("fmnist.config.tree", "from fmnist import run", "'config' imports 'run'"),
        ("fmnist.run.lock", "if TYPE_CHECKING:\n    from ..data import Dataset", "imports 'data'"),
        ("fmnist.data.idx", "from ..evaluation.metrics import accuracy", "imports 'evaluation'"),
        ("fmnist.data.__init__", "from .. import cli", "imports 'cli'"),
        ("fmnist.data.idx", "def read():\n    import keras", "'data' must not import 'keras'"),
        ("fmnist.data.idx", "import fmnist", "imports '__init__'"),
        ("fmnist.errors", "try:\n    import tensorflow.data\nexcept ImportError:\n    pass", "must not import"),
        ("fmnist.models.tiny", "def build():\n    import tensorflow as tf", "'tensorflow' is a backend"),
        ("fmnist.cli.train", "class Command:\n    from PIL import Image", "'PIL' is heavy"),
        ("fmnist.attic", "", "'attic' is unknown; give it a row in tests/test_layering.py"),
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
        ("fmnist.run.history", "from fmnist.config import Config\nfrom ..errors import RunError"),
        ("fmnist.data.__init__", "from .idx import read\nfrom fmnist.data import sources\nimport numpy, gzip"),
        ("fmnist.models.fast", "import keras\nfrom keras import ops\nfrom fmnist import errors"),
        ("fmnist.backend", "def threads():\n    import tensorflow"),
        ("fmnist.cli.train", "import click\ndef command():\n    from fmnist import pipeline, training\n    import PIL"),
        ("fmnist.data.idx", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras"),
    ],
)
def test_the_checker_allows(module: str, source: str):
    assert problems({module: source}) == []


def file_imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which files each file imports, by module name; for type checkers only counts too."""
    known = {module.removesuffix(".__init__"): module for module in sources}
    found: dict[str, set[str]] = {module: set() for module in sources}
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in known else str(node.module) for name in names]
            found[module] |= {known[name] for name in names if name in known} - {module}
    return found


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return files that import one another in a loop, the first one again at the end; nothing where there are none."""
    done: set[str] = set()

    def visit(file: str, path: list[str]) -> list[str]:
        if file in path:
            return [*path[path.index(file) :], file]
        if file in done:
            return []
        loop = next(filter(None, (visit(target, [*path, file]) for target in sorted(arrows[file]))), [])
        done.add(file)
        return loop

    return next(filter(None, (visit(file, []) for file in sorted(arrows))), [])


def test_no_files_import_one_another():
    loop = circle(file_imports(modules()))
    assert not loop, " imports ".join(loop)


def test_the_circle_check_sees():
    sources = {
        "fmnist.run.a": "def late():\n    from fmnist.run import b",
        "fmnist.run.b": "from fmnist.run.c import name",
        "fmnist.run.c": "if TYPE_CHECKING:\n    from fmnist.run.a import Name",
    }
    assert circle(file_imports(sources)) == ["fmnist.run.a", "fmnist.run.b", "fmnist.run.c", "fmnist.run.a"]


def test_the_top_level_fits_a_screen():
    """What Python asks for by name is not counted: `__init__.py`, `__main__.py`, `py.typed`."""
    names = [path.name for path in (SOURCE / "fmnist").iterdir()]
    assert len([name for name in names if name != "py.typed" and not name.startswith("__")]) <= 24


def loaded_by(statements: str, packages: set[str]) -> set[str]:
    """Which of the packages a new Python has loaded after the statements."""
    code = f"{statements}\nimport sys\nprint(*sorted({packages!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_fmnist_loads_nothing_heavy():
    assert loaded_by("import fmnist", HEAVY | {"numpy", "click", "rich", "pydantic"}) == set()


def test_the_command_line_loads_nothing_heavy():
    """Each command's module is imported, as for its `--help`; what these import counts too."""
    commands = "from fmnist.cli import COMMANDS\nfor module, _ in COMMANDS.values(): __import__(module)"
    assert loaded_by(commands, HEAVY) == set()


def test_the_loading_check_sees():
    assert loaded_by("import numpy", HEAVY | {"numpy"}) == {"numpy"}


# What Windows lacks, or macOS. It is in one file, which says what happens without it.
POSIX_MODULES = {"resource", "fcntl", "pwd", "grp", "termios"}
POSIX_NAMES = {
    "AF_UNIX", "O_DIRECTORY", "SIGALRM", "SIGKILL", "fork", "geteuid", "getuid", "killpg", "mkfifo",
    "sched_getaffinity", "setitimer", "setsid", "statvfs",
}  # fmt: skip


def test_what_not_all_systems_have_is_in_one_file():
    found = set()
    for module, source in modules().items():
        names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        imported = {name.split(".")[0] for name, *_ in imports(module, source)}
        if names & POSIX_NAMES or imported & POSIX_MODULES:
            found.add(module)
    assert found == {"fmnist.system"}
