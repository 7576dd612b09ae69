"""The notebook runs top to bottom with the solutions of its exercises, and is committed executed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

NOTEBOOK = Path(__file__).parent.parent / "fashion_mnist_cnn.ipynb"
SOLUTION = re.compile(r"<details>\n<summary>Solution</summary>\n(.*?)\n</details>", re.DOTALL)
PICTURES = 7

# Jupyter's own pieces, which we do not choose.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def with_solutions(notebook):
    """The notebook with the code of each folded solution as a cell where it stands."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        for solution in SOLUTION.findall(cell.source):
            cells += [new_code_cell(block) for block in re.findall(r"```python\n(.*?)```", solution, re.DOTALL)]
    notebook.cells = cells
    return notebook


def pictures(notebook):
    """The alternative text of each picture among the outputs, in their order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if "image/png" in output.get("data", {})]
    return [output.metadata.get("image/png", {}).get("alt", "") for output in shown]


@pytest.mark.timeout(600)  # some forty cells, six small trainings
def test_it_runs_top_to_bottom_and_so_do_the_solutions(tmp_path, monkeypatch, tiny_data_dir):
    monkeypatch.setenv("FMNIST_DATA", str(tiny_data_dir))
    notebook = with_solutions(nbformat.read(NOTEBOOK, as_version=4))
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert "EPOCHS = 20" in parameters.source
    parameters.source = f'EPOCHS = 2\nIMAGES = 600\nRUN = "{tmp_path}/run"'
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = "".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "356,234 parameters" in outputs
    assert len(pictures(notebook)) == PICTURES
    reports = [path.parent.name for path in tmp_path.glob("*/report.html")]
    assert len(reports) == 1 and reports[0] in ("run", "run-cured")


def test_each_section_ends_with_an_exercise_and_its_solution():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    parts = re.split(r"^## \d+ · .*$", prose, flags=re.MULTILINE)[1:]
    assert len(parts) == 9
    for number, part in enumerate(parts, 1):
        _, found, exercise = part.partition(f"### Exercise {number}\n")
        assert found and len(SOLUTION.findall(exercise)) == 1, f"section {number}"


def test_it_is_committed_executed_without_errors():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [output for cell in code for output in cell.outputs if output.output_type in ("error",)]
    text = NOTEBOOK.read_text()
    assert "epoch 20" in text and not re.search(r"/(home|root|Users)/", text)
    descriptions = pictures(notebook)
    assert len(descriptions) == PICTURES and all(len(words) > 40 for words in descriptions)
