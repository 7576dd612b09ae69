"""Stores finished studies; draws their pictures and makes their part of `docs/overfitting.md` from what is stored.

    fmnist compare remedies --runs-dir runs
    python benchmarks/studies.py runs/remedies

Times are left out of the document: the runs were made beside other work, some on one core and some on two.

Stores a study's `study.json` and its mean curves as `benchmarks/results/study-<name>.json`. The pictures lie in
`docs/studies/`. Without a folder only pictures and document are made again.
"""

import re
import shutil
import tempfile
from pathlib import Path

import documents
import measured

from fmnist.run.directory import STUDY_FILE, read_json
from fmnist.study import page, tables, words

PICTURES = measured.ROOT / "docs" / "studies"
NAMES = ("remedies", "kernels", "transfer", "augmentation", "robustness")


def store(folder: Path) -> None:
    """Copy what documents need out of a study's folder.

    Raises:
        SystemExit: the study is not finished, or not one of ours.
    """
    result = read_json(folder / STUDY_FILE)
    if result["state"] != "finished" or result["name"] not in NAMES:
        raise SystemExit(f"{folder} holds {result['name']}, {result['state']}; expected a finished one of {NAMES}")
    kept = {"curves": page.averages(result, folder), "environment": measured.public(result["environment"])}
    measured.store(f"study-{result['name']}", result | kept)


def draw(name: str, folder: Path = PICTURES) -> None:
    """Draw the pictures of a stored study, `<name>-curves.svg` and so on."""
    result = measured.stored(f"study-{name}")
    with tempfile.TemporaryDirectory() as plots:
        page.draw(result, result["curves"], Path(plots))
        for drawn in Path(plots).glob("*.svg"):
            shutil.copyfile(drawn, folder / f"{name}-{drawn.name}")


def section(result: dict) -> list[str]:
    """Write one study's sentences, tables and pictures."""
    name, environment = result["name"], result["environment"]
    runs = sum(len(row["runs"]) for row in result["variants"])
    lines = [f"### `{name}`", "", result["description"], ""]
    lines += [f"`fmnist compare {name}`: {runs} runs. {words.setup(result)}", ""]
    lines += [f"{environment['processor']}; Keras {environment['keras']}.", ""]
    lines += [
        *(
            f"- {re.sub('; it takes [0-9.]+ times as long', '', row['sentence'])}"
            for row in words.add_sentences(result)["variants"]
        )
    ]
    lines += [""]
    for title, table in tables.titled(result):
        kept = [place for place, name in enumerate(table[0]) if name != "seconds"]
        lines += [f"{title}:", "", tables.pipes([[row[place] for place in kept] for row in table]), ""]
    for picture, title in (
        ("effects", "what each variant changes, with 95% intervals"),
        ("curves", "validation accuracy and loss, without the first quarter of the epochs"),
        ("panels", "training (blue) and validation loss (orange) of each variant; dotted, the baseline's"),
    ):
        if (PICTURES / f"{name}-{picture}.svg").is_file():
            lines += [f"![{name}: {title}](studies/{name}-{picture}.svg)", ""]
            lines += [f"*{title[0].upper()}{title[1:]}.*", ""]
    return lines


def stored() -> list[str]:
    """Return the names of the studies that are stored."""
    return [name for name in NAMES if measured.path(f"study-{name}").is_file()]


def studies() -> list[str]:
    """Write the parts of all stored studies."""
    return ["", *(line for name in stored() for line in section(measured.stored(f"study-{name}")))]


PARTS = (documents.Part("docs/overfitting.md", "studies: made by benchmarks/studies.py", studies),)


def main() -> None:
    """Store the folders that are named, then draw all pictures and write the document's part."""
    parser = measured.parser(__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of finished studies")
    for folder in parser.parse_args().folders:
        store(folder)
    for name in stored():
        draw(name)
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
