"""What README and docs/ say is there: the README's tree under 'Layout', and each `make` and `fmnist` command in code.

The tree is the first fenced block under the heading 'Layout'. A line is a path, two or more spaces, and a description:

    src/fmnist/          the package
      errors.py          the errors a user can meet
      data/              the data set
    tests/               the tests
    Makefile             run, test, lint

A path that ends in `/` is a folder, and lines indented more than it lie inside; otherwise a path starts at the root.
Each room has its line, a module or folder directly in src/fmnist, and so have tests/, benchmarks/ and docs/. Others
may have one. No line names what doesn't exist.
"""

import importlib
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmnist.cli import COMMANDS

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
LAYOUT = re.compile(r"^#+ +Layout *\n(.*?)(?=^#+ |\Z)", re.MULTILINE | re.DOTALL)


def tree_paths(tree: str) -> list[str]:
    """The full paths that a tree names, in its order."""
    paths: list[str] = []
    folders: list[tuple[int, str]] = []
    for line in filter(str.strip, tree.splitlines()):
        match = re.fullmatch(r"( *)(\S+) {2,}(\S.*)", line)
        if not match:
            raise ValueError(f"README's Layout: {line!r} is not 'path  description'")
        indent = len(match[1])
        while folders and folders[-1][0] >= indent:
            folders.pop()
        if indent and not folders:
            raise ValueError(f"README's Layout: {line!r} is indented but lies in no folder")
        path = (folders[-1][1] if folders else "") + match[2]
        paths.append(path)
        if path.endswith("/"):
            folders.append((indent, path))
    return paths


def required_paths(root: Path) -> set[str]:
    """What the tree must name; folders end in `/`."""
    package = root / "src" / "fmnist"
    found = {path for path in package.glob("*.py") if not path.name.startswith("__")}
    found |= {path.parent for path in package.glob("*/__init__.py")} | {package}
    found |= {root / folder for folder in ("tests", "benchmarks", "docs")}
    return {path.relative_to(root).as_posix() + ("/" if path.is_dir() else "") for path in found}


def tree_problems(readme: str, root: Path) -> list[str]:
    section = LAYOUT.search(readme)
    block = section and FENCE.search(section[1])
    if not block:
        return ["README.md has no fenced block under a heading 'Layout'"]
    named, required = Counter(tree_paths(block[2])), required_paths(root)
    return [
        *(f"missing from README's Layout: {path}" for path in sorted(required - named.keys())),
        *(f"twice in README's Layout: {path}" for path in named if named[path] > 1),
        *(
            f"README's Layout names what is not there: {path}"
            for path in named
            if not ((root / path).is_dir() if path.endswith("/") else (root / path).is_file())
        ),
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a document's fenced blocks and `code`, assignments before it left out."""
    layout = LAYOUT.search(text)
    text = text.replace(layout[1], "") if layout else text
    lines = [line for block in FENCE.finditer(text) for line in block[2].replace("\\\n", " ").splitlines()]
    lines += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text))
    for line in lines:
        for command in re.split(r"&&|\|\||[;|]", re.sub(r"(^|\s)#.*", "", line.strip().removeprefix("$ "))):
            try:
                words = shlex.split(command)
            except ValueError:  # prose or Python with a lone quote, not a command
                continue
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words and words[0].removeprefix(".venv/bin/") in ("make", "fmnist"):
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def fmnist_options(name: str, word: str = "") -> set[str]:
    """The options of a command, or of the command below it that the next word names; KeyError for an unknown one."""
    module, _ = COMMANDS[name]
    command = importlib.import_module(module).command
    command = getattr(command, "commands", {}).get(word, command)
    return {"--help"} | {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}


def command_problems(text: str) -> list[str]:
    found = []
    for program, *words in commands(text):
        line = " ".join([program, *words])
        if program == "make":
            targets = {word for word in words if not word.startswith("-") and "=" not in word}
            found += [f"{line!r}: no target {target!r}" for target in sorted(targets - make_targets())]
        elif words and not words[0].startswith("-"):
            try:
                known = fmnist_options(*words[:2])
            except KeyError:
                found.append(f"{line!r}: fmnist has no command {words[0]!r}")
                continue
            options = {word.split("=")[0] for word in words[1:] if word.startswith("-") and word != "-"}
            found += [f"{line!r}: no option {option!r}" for option in sorted(options - known)]
    return found


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def test_tree_names_what_is_there(readme: str):
    problems = tree_problems(readme, ROOT)
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("name", sorted(path.relative_to(ROOT).as_posix() for path in DOCUMENTS))
def test_commands_exist(name: str):
    problems = command_problems((ROOT / name).read_text("utf-8"))
    assert not problems, f"{name}\n" + "\n".join(problems)


def test_readme_has_its_two_commands_and_can_be_read_to_the_end(readme: str):
    assert {"make run", "make test"} <= {" ".join(words) for words in commands(readme)}
    assert len(readme.splitlines()) < 150


def test_tree_check_sees(tmp_path: Path):
    for path in ("src/fmnist/__init__.py", "src/fmnist/data/__init__.py", "tests/test_a.py", "benchmarks/b", "docs/c"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    tree = "src/fmnist/  package\n  data/  data\nbenchmarks/  figures\ndocs/  texts\ntests/  tests\n"
    good = f"# Title\n\n## Layout\nText.\n\n```text\n{tree}```\n\n## Next\n"
    assert tree_paths(tree) == ["src/fmnist/", "src/fmnist/data/", "benchmarks/", "docs/", "tests/"]
    assert tree_problems(good, tmp_path) == []
    assert tree_problems("# Title\n", tmp_path) == ["README.md has no fenced block under a heading 'Layout'"]
    for old, new, complaint in (
        ("  data/  data\n", "", "missing from README's Layout: src/fmnist/data/"),
        ("tests/  tests\n", "tests/  tests\ntests/  tests\n", "twice in README's Layout: tests/"),
        ("tests/  tests\n", "tests/  tests\n  test_b.py  none\n", "names what is not there: tests/test_b.py"),
    ):
        (problem,) = tree_problems(good.replace(old, new), tmp_path)
        assert complaint in problem
    with pytest.raises(ValueError, match="is not 'path  description'"):
        tree_paths("src/fmnist/ package")
    with pytest.raises(ValueError, match="lies in no folder"):
        tree_paths("  src/fmnist/  package")


def test_command_check_sees():
    block = "$ X=1 make flyy lint A=b  # make coffee\ncd x && fmnist bakee --now\nfmnist --help\n"
    text = f"Run `make test` or\n```sh\n{block}```\n"
    assert list(commands(text)) == [
        ["make", "flyy", "lint", "A=b"],
        ["fmnist", "bakee", "--now"],
        ["fmnist", "--help"],
        ["make", "test"],
    ]
    assert command_problems(text) == [
        "'make flyy lint A=b': no target 'flyy'",
        "'fmnist bakee --now': fmnist has no command 'bakee'",
    ]
    assert command_problems("`fmnist train --no-such-option`") == [
        "'fmnist train --no-such-option': no option '--no-such-option'"
    ]
