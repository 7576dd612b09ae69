"""Sends a run to MLflow: settings, epochs, verdict, scores, pictures, report, and the model with its signature.

MLflow's own environment variables say where to; by default it is a SQLite file beside the runs.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

# Before MLflow is loaded: it reports its use to nobody, and a server that does not answer is given up soon.
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from fmnist.run import facts, results
from fmnist.run.directory import STUDY_FILE, RunDirectory, read_json, write_json

if TYPE_CHECKING:
    from mlflow.types import TensorSpec

EXPERIMENT = "fmnist"
_KIND = "custom_model_development"  # MLflow shows curves and models first, not conversations
_BATCH = 100  # MLflow takes no more parameters at once
_STATUS = {"finished": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
_ENVIRONMENT = ("backend", "data_source", "fmnist", "keras", "platform", "precision", "processor", "python")


class MLflow:
    """Goes on in the MLflow run that `mlflow.json` names, or makes one; a study is the parent of its runs."""

    def __init__(self, run: RunDirectory, study: RunDirectory | None) -> None:
        self.run, self.base = run, (study or run).path.parent.resolve()
        if not mlflow.is_tracking_uri_set():
            mlflow.set_tracking_uri(f"sqlite:///{self.base / 'mlflow.db'}")
        self.client = mlflow.MlflowClient()
        self.id = self._find(run, {"mlflow.parentRunId": self._find(study, {})} if study else {})
        self.client.update_run(self.id, status="RUNNING")
        # Asked for, since an epoch may have come although the answer to it was lost. Every epoch has a loss.
        self.sent = {metric.step for metric in self.client.get_metric_history(self.id, "loss")}
        self._send_settings()

    def send(self, final: bool) -> None:
        """Send the epochs that are new; at the end the results as well."""
        epochs = facts.epochs(self.run)
        new = [(row, when) for row, when in epochs if row["epoch"] not in self.sent]
        self._log(metrics=[metric for row, when in new for metric in _metrics(row, when, row["epoch"])])
        self.sent |= {int(row["epoch"]) for row, _ in new}
        if final:
            self._send_results(*(epochs[-1] if epochs else ({"epoch": 0}, time.time())))

    def where(self) -> str:
        """Return the address of the run's page, or the command that shows a file of runs."""
        uri = mlflow.get_tracking_uri()
        if uri.startswith("http"):
            return f"MLflow: {uri}/#/experiments/{read_json(self.run.mlflow)['experiment_id']}/runs/{self.id}"
        return f"MLflow: mlflow server --backend-store-uri {uri}"

    def _find(self, run: RunDirectory, tags: dict[str, str]) -> str:
        """Return the number of the MLflow run of a run or a study; where there is none yet, make it."""
        if run.mlflow.is_file():
            known = str(read_json(run.mlflow).get("run_id"))
            try:
                return str(self.client.get_run(known).info.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # it is another server's
                    raise
        tags = {"mlflow.source.name": "fmnist", "mlflow.source.type": "LOCAL"} | tags
        made = self.client.create_run(self._experiment(), run_name=run.name, tags=tags).info
        write_json(run.mlflow, {"run_id": made.run_id, "experiment_id": made.experiment_id})
        return str(made.run_id)

    def _experiment(self) -> str:
        if known := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return known
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        if found := self.client.get_experiment_by_name(name):
            return str(found.experiment_id)
        # A server has a place for files; that of a SQLite file would be the working directory.
        beside = mlflow.get_tracking_uri() == f"sqlite:///{self.base / 'mlflow.db'}"
        files = (self.base / "mlflow-files").as_uri() if beside else None
        return str(self.client.create_experiment(name, files, tags={"mlflow.experimentKind": _KIND}))

    def _log(self, **kinds: list[Any]) -> None:
        for kind, items in kinds.items():
            for start in range(0, len(items), _BATCH):
                self.client.log_batch(self.id, **{kind: items[start : start + _BATCH]})

    def _send_settings(self) -> None:
        found, environment = facts.settings(self.run), results.environment(self.run)
        tags = {name: environment.get(name) for name in _ENVIRONMENT}
        tags["mlflow.source.git.commit"] = environment.get("git_commit")
        self._log(
            params=[Param(name, str(value)) for name, value in found.items() if value is not None],
            tags=[RunTag(name, str(value)) for name, value in tags.items() if value],
        )

    def _send_results(self, last: dict[str, float], when: float) -> None:
        if found := results.diagnosis(self.run):
            told = "\n".join(f"- {sentence}" for sentence in found["sentences"])
            self._log(tags=[RunTag("verdict", found["verdict"]), RunTag("mlflow.note.content", told)])
        self._log(
            metrics=_metrics(facts.scores(self.run), when, self.run.read_status().get("model_epoch", last["epoch"]))
        )
        state = self.run.state() if self.run.exists() else read_json(self.run.path / STUDY_FILE)["state"]
        self.client.set_terminated(self.id, _STATUS.get(state, "KILLED"))
        self._send_model()
        for path in (*sorted(self.run.plots.glob("*.png")), self.run.report):
            if path.is_file():
                self.client.log_artifact(self.id, str(path), "plots" if path.suffix == ".png" else None)

    def _send_model(self) -> None:
        """Send the LiteRT float32 file, if there is one that passed its gate; `mlflow models serve` takes it."""
        index = results.exports(self.run)
        row = next((row for row in index.get("files", []) if row["format"] == "litert" and row["passed"]), None)
        path = row and results.exported_path(self.run, row)
        there = self.client.get_run(self.id)
        if not row or path is None or there.outputs.model_outputs:
            return
        from mlflow import pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types import Schema

        mlflow.set_experiment(experiment_id=there.info.experiment_id)  # else it goes to MLflow's default one
        Model.log(
            artifact_path=None,
            name="model",
            flavor=pyfunc,
            run_id=self.id,
            loader_module="fmnist.track.served",
            data_path=str(path),
            signature=ModelSignature(*(Schema([_spec(index[side])]) for side in ("input", "output"))),
            pip_requirements=[f"fmnist=={index['fmnist']}" if index["fmnist"] else "fmnist"],
            metadata={"class_names": index["class_names"], "sha256": row["sha256"]},
        )


def _metrics(values: dict[str, float], when: float, step: float) -> list[Metric]:
    return [Metric(name, value, round(1000 * when), int(step)) for name, value in values.items() if name != "epoch"]


def _spec(side: dict[str, Any]) -> TensorSpec:
    """Return MLflow's description of images or probabilities, as `exports.json` has them."""
    import numpy as np
    from mlflow.types import TensorSpec

    return TensorSpec(np.dtype(side["dtype"]), [-1 if length is None else length for length in side["shape"]])
