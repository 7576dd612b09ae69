"""Messages speak Python where Python can meet them: they name settings and arguments, never flags.

The command line shows the names as flags. A whole command in backquotes, such as `fmnist train --resume RUN`, may have
them.
"""

import ast
import re
from importlib import import_module
from pathlib import Path

import click
import pytest

import fmnist
from fmnist.cli import COMMANDS

PACKAGE = Path(fmnist.__file__).parent
# Of the command line, or makers of commands that are shown as such.
SPEAK_FLAGS = ("cli/", "doctor/", "web/")
SPEAK_FLAGS += ("study/words.py", "config/presets.py", "diagnosis/advice.py", "report/run_page.py")

# A whole command; or the words that `RunDirectory.need` puts after `fmnist`.
COMMAND = re.compile(r"fmnist [^`;,]*|^train --resume.*")


def flags():
    commands = [import_module(module).command for module, _ in COMMANDS.values()]
    commands += [command for group in commands for command in getattr(group, "commands", {}).values()]
    options = [option for command in commands for option in command.params if isinstance(option, click.Option)]
    return {flag for option in options for flag in option.opts + option.secondary_opts if flag.startswith("--")}


def texts(source):
    """Yield line and text of each string that is no docstring; of a formatted one its fixed parts, joined."""
    inside = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr):
            inside.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            inside |= set(node.values)
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.lineno, node.value


def named_flags(source, known):
    return [
        (line, flag)
        for line, text in texts(source)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", COMMAND.sub("", text))
        if flag in known and flag != text  # a flag alone is a part of a command
    ]


def test_no_message_below_the_command_line_names_a_flag():
    known, found = flags(), []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(SPEAK_FLAGS):
            found += [f"{name}:{line}: {flag}" for line, flag in named_flags(path.read_text("utf-8"), known)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise InputError(f"{path} is there; take --overwrite")', ["--overwrite"]),
        ('HINT = "try a smaller --learning-rate"', ["--learning-rate"]),
        ('text = f"`fmnist train --resume {path}` continues it"', []),
        ('"""With --overwrite."""\nwords = ["npm", "--silent"]', []),
    ],
)
def test_the_check_sees(source, expected):
    assert [flag for _, flag in named_flags(source, {"--overwrite", "--learning-rate", "--resume"})] == expected


def test_a_message_from_python_and_from_the_command_line(run_cli, tmp_path, tiny_dataset, tiny_data_dir):
    settings = {"limit": 5}
    with pytest.raises(fmnist.InputError, match=r"^`limit=5` and `validation_fraction=0\.2` leave 4 training images"):
        fmnist.train(fmnist.preset("reference", **settings), tiny_dataset, tmp_path / "run")
    words = ["--preset", "reference", "--limit", "5", "--data-dir", tiny_data_dir, "--runs-dir", tmp_path]
    code, _, err = run_cli("train", *words, "--quiet")
    assert code == 2 and err.startswith("Error: --limit 5 and --validation-fraction 0.2 leave 4 training images")
