"""Writes the table of docs/histories.md: what `fmnist diagnose` understands of the files of other tools.

    python benchmarks/history_forms.py

tests/support/tool_histories.py makes the files: one training of 24 epochs that overfits, in the form of each tool.
"""

import tempfile
from pathlib import Path

import documents
import measured

measured.use_tests()

from support import tool_histories  # noqa: E402

from fmnist.diagnosis import diagnose  # noqa: E402

HEADER = ["| file | training scores | validation scores | epochs | verdict |", "| --- | --- | --- | --- | --- |"]
TRAINING, VALIDATION = ("train_loss", "loss", "train_accuracy", "accuracy"), ("val_loss", "val_accuracy")


def table() -> list[str]:
    """Return a row for each form."""
    curves = tool_histories.curves("overfitting")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, form in sorted(tool_histories.FORMS.items(), key=lambda item: item[0].lower()):
            path = Path(folder) / f"history.{form.suffix}"
            path.write_text(form.write(curves), encoding="utf-8")
            found = diagnose(path)
            read = [
                ", ".join(f"`{found.columns[role]}`" for role in roles if role in found.columns)
                for roles in (TRAINING, VALIDATION)
            ]
            lines.append(f"| {name} | {' | '.join(read)} | {found.epochs} | {found.verdict} |")
    return [*HEADER, *lines]


PARTS = (documents.Part("docs/histories.md", "forms: made by benchmarks/history_forms.py", table),)

if __name__ == "__main__":
    measured.parser(__doc__).parse_args()
    documents.write(*PARTS)
