"""Results as pandas tables: of a run, a study, a cross-validation and an audit."""

import sys

import numpy as np
import pandas
import pytest
from support.study_runs import NAMES, write_run

import fmnist
from fmnist import audit
from fmnist.audit import table as audit_table
from fmnist.audit.findings import Finding
from fmnist.run.directory import STUDY_FILE, RunDirectory, read_json, write_json
from fmnist.run.history import HISTORY_COLUMNS, write_history
from fmnist.study import Study, plan, write_results


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """A folder of runs with a finished study of two seeds, put together without training."""
    folder = tmp_path_factory.mktemp("runs")
    study = Study("small", settings={"epochs": 4}, variants={"flip": {"flip": True}}, seeds=(0, 1))
    dataset = fmnist.Dataset(
        *(np.ones((100, 28, 28), np.uint8), np.arange(100, dtype=np.uint8) % 10) * 2, NAMES, "made up"
    )
    for place, config in plan(study, dataset, folder / "small")[0]:
        right = np.arange(100) % 20 > 3 - config.augmentation.flip + config.training.seed
        write_run(place, config, right, overfits=0.5)
    write_results(study, folder / "small")
    return folder


@pytest.fixture(scope="module")
def run(runs_dir):
    return RunDirectory(runs_dir / "small" / "flip-seed1")


def test_the_history_of_a_run(tmp_path):
    run = RunDirectory(tmp_path / "first")
    write_json(run.config, {})
    write_history(run.history, [{"epoch": 1, "loss": 0.5, "val_loss": 0.75}, {"epoch": 2, "loss": 0.25}])
    for given in (run, run.path, "first", "latest"):
        found = fmnist.frame(given, runs_dir=tmp_path)
        assert found.index.tolist() == [1, 2] and found.loc[2, "loss"] == 0.25
        assert found.columns.tolist() == list(HISTORY_COLUMNS[1:]) and pandas.isna(found.loc[2, "val_loss"])
    assert fmnist.diagnose(found).verdict


def test_the_scores_of_a_run(run):
    stored = read_json(run.metrics)
    found = fmnist.frame(run, "metrics")
    assert found.index.tolist() == ["flip-seed1"] and not found.dtypes.eq(object).drop("calibrated").any()
    low, high = stored["accuracy_interval"]
    assert found[["accuracy_low", "accuracy", "accuracy_high"]].iloc[0].tolist() == [low, stored["accuracy"], high]
    assert found["macro_f1"].iloc[0] == stored["macro"]["f1"]
    classes = fmnist.frame(run, "classes")
    assert classes.index.tolist() == list(NAMES) and classes["support"].sum() == 100
    confusion = fmnist.frame(run, "confusion")
    assert confusion.loc["A", "B"] == stored["confusion_matrix"][0][1] > confusion.loc["B", "A"] == 0
    assert (confusion.index.name, confusion.columns.name) == ("label", "predicted")


def test_the_predictions_of_a_run(run):
    found = fmnist.frame(run, "predictions")
    assert len(found) == 100 and found["correct"].mean() == read_json(run.metrics)["accuracy"]
    assert found["label"].tolist() == list(NAMES) * 10 and found["predicted"].dtype == found["label"].dtype
    shares = found.filter(like="probability_")
    assert shares.columns.tolist() == [f"probability_{name}" for name in NAMES]
    first = shares.idxmax(axis=1).str.removeprefix("probability_")
    assert first.tolist() == found["predicted"].tolist()
    crossed = pandas.crosstab(found["label"], found["predicted"], dropna=False)
    pandas.testing.assert_frame_equal(
        crossed,
        fmnist.frame(run, "confusion"),
        check_index_type=False,
        check_column_type=False,
        check_categorical=False,
    )


def test_the_tables_of_a_study(runs_dir):
    stored = read_json(runs_dir / "small" / STUDY_FILE)
    found = fmnist.frame("small", runs_dir=runs_dir)
    assert found.index.tolist() == ["baseline-seed0", "baseline-seed1", "flip-seed0", "flip-seed1"]
    assert found["variant"].tolist() == ["baseline"] * 2 + ["flip"] * 2 and found["seed"].tolist() == [0, 1, 0, 1]
    means = found.groupby("variant")["test_accuracy"].mean()
    variants = fmnist.frame(runs_dir / "small", "variants")
    assert variants.loc[("flip", "test_accuracy"), "mean"] == pytest.approx(means["flip"])
    row = variants.loc[("flip", "test_accuracy")]
    assert row["difference"] == pytest.approx(means["flip"] - means["baseline"])
    own = stored["variants"][1]["test_difference"]["test_accuracy"]
    assert [row["low"], row["high"], row["outcome"]] == [*own["interval"], own["outcome"]]
    assert variants.loc["baseline", "difference"].isna().all()


def test_the_folds_of_a_cross_validation(tmp_path):
    rows = [{"fold": fold, "run": f"fold{fold}", "accuracy": 0.5 + fold / 10} for fold in range(3)]
    write_json(tmp_path / STUDY_FILE, {"name": "three", "state": "finished", "rows": rows})
    found = fmnist.frame(tmp_path)
    assert found.index.tolist() == ["fold0", "fold1", "fold2"] and found["accuracy"].tolist() == [0.5, 0.6, 0.7]
    with pytest.raises(fmnist.InputError, match="which has no variants; take the table 'runs'"):
        fmnist.frame(tmp_path, "variants")


def test_the_findings_of_an_audit(tmp_path):
    for name in (audit.PAGE, audit.PROBABILITIES):
        (tmp_path / name).touch()
    write_json(tmp_path / audit.AUDIT, {"state": "running"})
    found = [
        Finding("label", "train", 7, 0.75, "None", "Coat", 0.5, "", "", "ab"),
        Finding("blank", "test", 3, 4.0, "1", "Bag", 0.25, "", "", "cd"),
    ]
    audit_table.write(tmp_path / audit.TABLE, found)
    with pytest.raises(fmnist.InputError, match="the audit in .* is not finished"):
        fmnist.frame(tmp_path)
    write_json(tmp_path / audit.AUDIT, {"state": "finished"})
    table = fmnist.frame(tmp_path)
    assert (
        table["given"].tolist() == ["None", "1"] and table["index"].tolist() == [7, 3] and table["score"].sum() == 4.75
    )


def test_what_is_not_there_is_told(run, tmp_path):
    with pytest.raises(fmnist.InputError, match="expected one of a run's: history, .*; did you mean 'predictions'"):
        fmnist.frame(run, "prediction")
    with pytest.raises(fmnist.InputError, match="neither a run directory nor the name of a run"):
        fmnist.frame("nothing", runs_dir=tmp_path)
    empty = RunDirectory(tmp_path / "empty")
    for table, name in (("history", "history.csv"), ("metrics", "metrics.json"), ("predictions", "predictions.npz")):
        with pytest.raises(fmnist.InputError, match=f"has no {name}; `fmnist .*empty` makes it"):
            fmnist.frame(empty, table)
    write_json(tmp_path / STUDY_FILE, {"name": "a", "state": "running"})
    with pytest.raises(fmnist.InputError, match="the study in .* is not finished"):
        fmnist.frame(tmp_path)


def test_pandas_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "fmnist.integrations.frame")
    with pytest.raises(fmnist.RunError, match="needs pandas, which is not installed; install it with: pip install"):
        _ = fmnist.frame
