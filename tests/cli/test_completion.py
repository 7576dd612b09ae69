"""What bash and zsh complete, asked in their own way: through the script of bash, through the protocol of zsh."""

import os
import shutil
import subprocess
import sys

import pytest

from fmnist.config import PRESETS
from fmnist.run.directory import write_json


@pytest.fixture
def shell_folder(tmp_path):
    """A folder with two runs, and a command `fmnist` that shells find."""
    for name in ("first", "second"):
        write_json(tmp_path / "runs" / name / "config.json", {})
    command = tmp_path / "bin" / "fmnist"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m fmnist "$@"\n')
    command.chmod(0o755)
    return tmp_path


def ask(folder, arguments, **variables):
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


WORDS = {
    "ev": ["evaluate"],
    "evaluate ": ["latest", "first", "second"],
    "train --preset be": ["best", "best-gpu"],
    "train --resume s": ["second"],
    "train --teacher f": ["first"],
    "compare re": ["remedies"],
    "export latest --format litert,onnx-": ["litert,onnx-int8"],
    "data im": ["import"],
    "train --early": ["--early-stopping"],
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes(shell_folder):
    script = """
eval "$(_FMNIST_COMPLETE=bash_source fmnist)"
compopt() { :; }  # which works while a completion runs only
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "fmnist $line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _fmnist_completion fmnist
    echo "${COMPREPLY[*]}"
done
"""
    path = f"{shell_folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-c", script]
    done = subprocess.run(
        command, cwd=shell_folder, env={**os.environ, "PATH": path}, input="\n".join(WORDS) + "\n",
        capture_output=True, text=True,
    )  # fmt: skip
    found = dict(zip(WORDS, map(str.split, done.stdout.splitlines()), strict=True))
    # The runs were made in the same moment.
    assert {line: sorted(names) for line, names in found.items()} == {
        line: sorted(names) for line, names in WORDS.items()
    }, done.stderr


@pytest.mark.parametrize("line", ["evaluate ", "train --preset "])
def test_zsh_is_told_what_fits_and_what_it_is(line, shell_folder):
    words = f"fmnist {line}"
    asked = {"_FMNIST_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    answer = ask(shell_folder, ["fmnist"], **asked).splitlines()
    rows = list(zip(answer[::3], answer[1::3], answer[2::3], strict=True))  # kind, word, what it is
    if line == "evaluate ":
        assert rows[0][0] == "file" and {word for kind, word, _ in rows if kind == "plain"} == {
            "latest",
            "first",
            "second",
        }
    else:
        assert [word for _, word, _ in rows] == list(PRESETS)
        assert rows[0][2].startswith(PRESETS[rows[0][1]][0][:20])


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_takes_the_script(shell_folder):
    script = (
        'autoload -U compinit && compinit -u && eval "$(_FMNIST_COMPLETE=zsh_source fmnist)" && echo $_comps[fmnist]'
    )
    assert ask(shell_folder, ["zsh", "-fc", script]).strip() == "_fmnist_completion"


def test_completing_commands_loads_none_of_them():
    code = """
import sys
from fmnist.cli import command
command.shell_complete(None, "ev")
print([name for name in sys.modules if name.startswith("fmnist.cli.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['fmnist.cli.terminal']"
