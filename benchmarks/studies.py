"""Stores finished studies and makes their part of `docs/overfitting.md` from what is stored.

    fmnist compare remedies --runs-dir runs
    python benchmarks/studies.py runs/remedies

Times are left out of the document: the runs were made beside other work, some on one core and some on two.

Stores a study's `study.json` as `benchmarks/results/study-<name>.json` and its pictures in `docs/studies/`. Without a
folder only the document is made again.
"""

import re
import shutil
from pathlib import Path

import documents
import measured

from fmnist.run.directory import STUDY_FILE, RunDirectory, read_json
from fmnist.study import words

PICTURES = measured.ROOT / "docs" / "studies"
NAMES = ("remedies", "kernels", "transfer", "augmentation")


def store(folder: Path) -> None:
    """Copy what documents need out of a study's folder.

    Raises:
        SystemExit: the study is not finished, or not one of ours.
    """
    result = read_json(folder / STUDY_FILE)
    if result["state"] != "finished" or result["name"] not in NAMES:
        raise SystemExit(f"{folder} holds {result['name']}, {result['state']}; expected a finished one of {NAMES}")
    measured.store(f"study-{result['name']}", result | {"environment": measured.public(result["environment"])})
    PICTURES.mkdir(exist_ok=True)
    for picture in ("curves", "effects", "panels"):
        source = RunDirectory(folder).plots / f"{picture}.svg"
        if source.is_file():
            shutil.copyfile(source, PICTURES / f"{result['name']}-{picture}.svg")


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
    for title, table in (
        (f"Mean ± standard deviation over {len(result['seeds'])} seeds:", words.value_table(result)),
        ("Difference to the baseline ± half of its 95% interval:", words.difference_table(result)),
    ):
        seconds = table[0].index("seconds")
        lines += [title, "", words.pipes([[*row[:seconds], *row[seconds + 1 :]] for row in table]), ""]
    for picture, title in (
        ("effects", "what each variant changes, with 95% intervals"),
        ("curves", "validation accuracy and loss"),
        ("panels", "training (blue) and validation loss (orange) of each variant; dotted, the baseline's"),
    ):
        if (PICTURES / f"{name}-{picture}.svg").is_file():
            lines += [f"![{name}: {title}](studies/{name}-{picture}.svg)", ""]
            lines += [f"*{title[0].upper()}{title[1:]}.*", ""]
    return lines


def studies() -> list[str]:
    """Write the parts of all stored studies."""
    found = [result for name in NAMES if (result := measured.stored(f"study-{name}"))]
    return ["", *(line for result in found for line in section(result))]


PARTS = (documents.Part("docs/overfitting.md", "studies: made by benchmarks/studies.py", studies),)


def main() -> None:
    """Store the folders that are named, then write the document's part."""
    parser = measured.parser(__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of finished studies")
    for folder in parser.parse_args().folders:
        store(folder)
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
