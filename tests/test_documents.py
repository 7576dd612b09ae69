"""The figures of docs/ and README.md are those of the stored results, and the helper that writes them."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MARKER = "rates: made by benchmarks/some.py"
DOCUMENT = f"# Title\n\n<!-- {MARKER} -->\nold\n<!-- end of rates -->\n\nText.\n"


@pytest.fixture
def documents(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import documents

    return documents


@pytest.fixture
def root(tmp_path):
    """A repository with two documents."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(DOCUMENT)
    (tmp_path / "README.md").write_text("# Name\n")
    return tmp_path


def test_every_figure_is_the_stored_one():
    """In a process of its own, since the scripts import what they measure with."""
    words = [sys.executable, str(ROOT / "benchmarks" / "documents.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "18 parts are as the stored results have them\n"


@pytest.mark.parametrize("name", ["remedies", "kernels", "transfer", "robustness"])
def test_the_pictures_of_the_studies_are_drawn_from_the_stored_results(documents, tmp_path, name):
    """If not: `python benchmarks/studies.py` draws them again."""
    import studies

    studies.draw(name, tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in studies.PICTURES.glob(f"{name}-*.svg")}


def test_a_part_lies_between_its_markers(documents, root):
    part = documents.Part("docs/a.md", MARKER, lambda: ["", r"new \1", ""])
    documents.write(part, root=root)
    expected = DOCUMENT.replace("old", "\nnew \\1\n")
    assert (root / "docs" / "a.md").read_text() == expected
    documents.write(part, root=root)
    assert (root / "docs" / "a.md").read_text() == expected


def test_a_whole_document(documents, root):
    documents.write(documents.Part("docs/a.md", None, lambda: ["# Results", "", "1"]), root=root)
    assert (root / "docs" / "a.md").read_text() == "# Results\n\n1\n"


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n",
        DOCUMENT.replace("<!-- rates", "<!-- figures"),
        DOCUMENT.replace("<!-- end of rates -->", ""),
        DOCUMENT + DOCUMENT,
        f"<!-- end of rates -->\n<!-- {MARKER} -->\n",
    ],
    ids=["none", "other name", "no end", "twice", "wrong order"],
)
def test_a_missing_marker_is_told_and_nothing_is_written(documents, root, text):
    path = root / "docs" / "a.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"docs/a\.md needs the line '<!-- rates: made by benchmarks/some\.py -->'"):
        documents.write(documents.Part("docs/a.md", MARKER, lambda: ["new"]), root=root)
    assert path.read_text() == text


def test_a_figure_that_drifted_is_shown(documents, root):
    same = documents.Part("docs/a.md", MARKER, lambda: ["old"])
    other = documents.Part("docs/a.md", MARKER, lambda: ["new"])
    assert documents.problems(same, root=root) == []
    (problem,) = documents.problems(other, root=root)
    assert "docs/a.md" in problem and "\n-old\n+new\n" in problem
    assert (root / "docs" / "a.md").read_text() == DOCUMENT


def test_a_marker_of_no_script_is_named(documents, root):
    assert documents.problems(root=root) == [f"docs/a.md: no script makes the part '<!-- {MARKER} -->'"]


def test_the_list_of_benchmarks_has_every_script_and_every_result():
    told = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    patterns = re.findall(r"`([\w*-]+\.(?:py|json))`", told)
    there = [path.name for path in (*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks" / "results").iterdir())]
    assert [name for name in there if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in there)] == []
