"""fmnist: train, understand and ship small-image classifiers, starting with Fashion-MNIST.

    import fmnist
    dataset = fmnist.load_dataset()
    run = fmnist.train(fmnist.preset("fast"), dataset, "runs/first")
    print(fmnist.read_json(run.metrics)["accuracy"])

The names below are the public interface. They load on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Config": "config",
    "preset": "config",
    "preset_for": "models.pretrained",
    "Dataset": "data.dataset",
    "load_dataset": "images.loading",
    "split_indices": "data.split",
    "fold_indices": "data.split",
    "inspect": "data.inspection",
    "find_pictures": "images.reading",
    "read_pictures": "images.reading",
    "import_data": "images.importing",
    "open_model": "predictor.opening",
    "Prediction": "predictor.prediction",
    "build": "models",
    "audit_dataset": "audit",
    "train": "pipeline",
    "resume": "pipeline",
    "evaluate": "evaluation.evaluate",
    "compare": "study",
    "cross_validate": "study",
    "read_study": "study",
    "runner_on": "study",
    "Study": "study",
    "tune": "study.tuning",
    "read_sweep": "study.tuning",
    "Sweep": "study.tuning",
    "Range": "config",
    "diagnose": "diagnosis",
    "Diagnosis": "diagnosis",
    "Watcher": "training.progress",
    "Tracking": "track",
    "draw_all": "report.plots",
    "write_report": "report.run_page",
    "RunDirectory": "run.directory",
    "export_run": "export.exporter",
    "benchmark_run": "export.benchmark",
    "find_run": "run.directory",
    "list_runs": "run.directory",
    "read_json": "run.directory",
    "read_history": "run.history",
    "Classifier": "integrations.classifier",
    "frame": "integrations.frame",
    "FmnistError": "errors",
    "InputError": "errors",
    "RunError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the room in which a public name lives, and return the name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fmnist' has no attribute '{name}'")
    return getattr(import_module(f"fmnist.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
