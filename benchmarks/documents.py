"""Writes the figures of the documents: each part is made by one script, from stored results alone.

    python benchmarks/documents.py            # makes every part again, in docs/ and README.md
    python benchmarks/documents.py --check    # changes nothing; shows what would change, exit code 1 if anything would

A part begins with `<!-- NAME: made by benchmarks/SCRIPT.py -->` and ends with `<!-- end of NAME -->`. A script has its
parts in `PARTS`.
"""

import difflib
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import measured

SCRIPTS = (
    "audit", "calibration_check", "diagnosis_check", "exports", "history_forms", "many_runs", "novelty", "predict",
    "replicas", "robustness", "serve_load", "studies", "tables", "teach", "torture_docs", "tune",
)  # fmt: skip
MARKER = re.compile(r"<!-- (\w+: made by benchmarks/\w+\.py) -->")


@dataclass(frozen=True)
class Part:
    """What a script writes into one document.

    Attributes:
        document: path of the document from the root of the repository.
        marker: `NAME: made by benchmarks/SCRIPT.py`; without one the script writes the whole document.
        lines: reads the stored results and returns the lines between the two markers.
    """

    document: str
    marker: str | None
    lines: Callable[[], list[str]]

    def inserted(self, text: str) -> str:
        """Return the document's text with this part made again.

        Raises:
            ValueError: the document does not have each of the two markers once, in their order.
        """
        made = "\n".join(self.lines()) + "\n"
        if self.marker is None:
            return made
        start, end = f"<!-- {self.marker} -->\n", f"<!-- end of {self.marker.partition(':')[0]} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found or text.count(start) != 1:
            raise ValueError(
                f"{self.document} needs the line '{start.strip()}' once, and below it the line '{end}': "
                "the figures are written between them"
            )
        return before + start + made + end + after


def write(*parts: Part, root: Path = measured.ROOT) -> None:
    """Make parts again, each in its document."""
    for part in parts:
        path = root / part.document
        path.write_text(part.inserted(path.read_text(encoding="utf-8")), encoding="utf-8")


def problems(*parts: Part, root: Path = measured.ROOT) -> list[str]:
    """Return for each part how its document differs from the stored results, and each marker that no part has."""
    found = []
    for part in parts:
        text = (root / part.document).read_text(encoding="utf-8")
        lines = difflib.unified_diff(
            text.splitlines(), part.inserted(text).splitlines(), part.document, "from the stored results", lineterm=""
        )
        found += ["\n".join(difference)] if (difference := list(lines)) else []
    for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        name = path.relative_to(root).as_posix()
        known = {part.marker for part in parts if part.document == name}
        for marker in MARKER.findall(path.read_text(encoding="utf-8")):
            found += [] if marker in known else [f"{name}: no script makes the part '<!-- {marker} -->'"]
    return found


def main() -> int:
    """Make every part again, or say which differ from the stored results."""
    parser = measured.parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; show what would change")
    check = parser.parse_args().check
    parts = [part for name in SCRIPTS for part in importlib.import_module(name).PARTS]
    if not check:
        write(*parts)
        return 0
    found = problems(*parts)
    print("\n".join(found) or f"{len(parts)} parts are as the stored results have them")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
