"""The notebook runs top to bottom, and is committed executed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "fashion_mnist_cnn.ipynb"

# Jupyter's own pieces, which we do not choose.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_it_runs_top_to_bottom(tmp_path, monkeypatch, tiny_data_dir):
    monkeypatch.setenv("FMNIST_DATA", str(tiny_data_dir))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert "EPOCHS = 20" in parameters.source
    parameters.source = f'EPOCHS = 2\nRUN = "{tmp_path}/run"'
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = "".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "356,234 parameters" in outputs
    assert (
        sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])) == 4
    )
    assert (tmp_path / "run" / "report.html").is_file()


def test_it_is_committed_executed_without_errors():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not [output for cell in code for output in cell.outputs if output.output_type in ("error",)]
    text = NOTEBOOK.read_text()
    assert "epoch 20" in text and not re.search(r"/(home|root|Users)/", text)
