"""Histories of other tools: what their columns are, which rows are an epoch, and what no form may change."""

import io
import json
import math
import random
import re

import numpy as np
import pytest
from support import tool_histories
from support.tool_histories import EPOCHS, FORMS, VERDICTS, curves, damaged, disturbed

from fmnist.diagnosis import diagnose
from fmnist.diagnosis.history import parse, read_history_file
from fmnist.errors import InputError


@pytest.fixture
def read(tmp_path):
    def read(text, suffix="csv"):
        path = tmp_path / f"history.{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return read


# The same curves in every form


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_has_the_same_verdict_and_epochs(name, verdict, read):
    found = diagnose(read(FORMS[name].write(curves(verdict)), FORMS[name].suffix))
    assert (found.verdict, found.epochs) == (verdict, EPOCHS), found.text()


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_numbers_that_went_in(name, read):
    run = curves("overfitting")
    history = read_history_file(read(FORMS[name].write(run), FORMS[name].suffix))
    assert history.epochs.tolist() == run["epoch"]
    assert {"val_loss", "val_accuracy"} & history.columns.keys()
    for score in {"val_loss", "val_accuracy"} & history.columns.keys():
        np.testing.assert_allclose(getattr(history, score), run[score], atol=1e-5)
    if "train_loss" in history.columns:
        there = np.isfinite(history.train_loss)  # in the first epoch of a model card there is none
        assert there[1:].all()
        np.testing.assert_allclose(history.train_loss[there], np.array(run["train_loss"])[there], atol=1e-5)
    if np.isfinite(history.seconds).sum() > 1:
        np.testing.assert_allclose(history.seconds[1:], tool_histories.SECONDS, atol=1e-3)


def test_there_are_forms_of_many_tools():
    assert len({re.split(r"[, ]", name)[0] for name in FORMS}) >= 25


# Whose a score is


def test_a_bare_accuracy_beside_named_losses_is_the_validations():
    """As fastai writes it; beside Keras's `loss` and `val_loss` it is the training's."""
    run = curves("overfitting")
    named = {"train_loss": run["train_loss"], "valid_loss": run["val_loss"], "accuracy": run["val_accuracy"]}
    history = parse(named)
    assert history.columns["val_accuracy"] == "accuracy" and np.isnan(history.train_accuracy).all()
    keras = {"loss": run["train_loss"], "val_loss": run["val_loss"], "accuracy": run["train_accuracy"]}
    assert parse(keras).columns["accuracy"] == "accuracy" and np.isnan(parse(keras).val_accuracy).all()


def test_an_accuracy_that_its_loss_rules_out_is_the_others():
    """Of 12% mistakes each costs the logarithm of 2, so the loss is 0.083 at least."""
    columns = {"loss": [0.3, 0.1, 0.05, 0.02, 0.01], "val_loss": [0.5] * 5, "acc": [0.85, 0.87, 0.88, 0.88, 0.88]}
    assert parse(columns).columns["val_accuracy"] == "acc"


def test_the_mean_over_a_whole_run_is_no_curve():
    """Hugging Face's last row has a `train_loss`, beside a `loss` in all the others."""
    run = curves("overfitting")
    content = [{"loss": a, "eval_loss": b} for a, b in zip(run["train_loss"], run["val_loss"], strict=True)]
    history = parse([*content[:-1], content[-1] | {"train_loss": 0.4}])
    assert history.columns["loss"] == "loss" and "train_loss" not in history.columns


def test_of_two_sets_to_validate_on_the_one_for_it_is_taken():
    run = curves("overfitting")
    columns = {"train_loss": run["train_loss"], "test_loss": [9.0] * EPOCHS, "valid_loss": run["val_loss"]}
    history = parse(columns)
    assert history.columns["val_loss"] == "valid_loss" and any("test_loss" in note for note in history.notes)


def test_a_loss_and_an_accuracy_cannot_be_compared():
    """scikit-learn's MLPClassifier keeps no others."""
    with pytest.raises(InputError, match="cannot be compared"):
        diagnose({"loss_curve_": [0.9, 0.5, 0.4, 0.3], "validation_scores_": [0.7, 0.8, 0.85, 0.86]})


# Percent and shares


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        ((0.7, 0.8, 0.9, 0.95), (69.0, 75.0, 80.0, 81.0), 0.81),  # a share beside percent
        ((70.0, 80.0, 90.0, 95.0), (0.69, 0.75, 0.80, 0.81), 0.81),
        ((1.1, 2.0, 40.0, 90.0), (1.0, 1.0, 1.0, 1.0), 0.01),  # 1 percent, of a hundred classes
        ((1.0, 1.02, 0.98, 1.0), (1.0, 1.0, 0.9, 1.0), 0.01),
        ((0.9, 0.95, 1.0000001, 1.0000001), (0.8, 0.85, 0.9, 1.0000001), 1.0),  # float32 rounds
    ],
)
def test_percent_and_shares_in_one_file(train, validation, expected):
    history = parse({"accuracy": train, "val_accuracy": validation})
    assert history.val_accuracy[-1] == pytest.approx(expected)
    assert (history.val_accuracy <= 1).all() and (history.train_accuracy <= 1).all()


# Which rows are an epoch


def test_validation_in_every_fifth_epoch_turns_between_two_scores():
    """Nothing is known before the first score, nor between two."""
    run = curves("overfitting", 40)
    history = parse(tool_histories.sparse(run, 5))
    found = diagnose(tool_histories.sparse(run, 5))
    assert np.isfinite(history.val_loss).sum() == 8
    assert (found.verdict, found.epochs) == ("overfitting", 40)
    assert found.turns.epoch in (5, 10, 15) and found.turns.low <= found.turns.epoch - 4
    assert found.turns.high >= found.turns.epoch + 4
    assert (found.gap_opens.low, found.gap_opens.high) in ((6, 10), (11, 15))


def test_what_came_before_the_first_score_is_not_known():
    """The gap is open at the first score, in epoch 5: it opened in any of the epochs up to there."""
    epochs = np.arange(1, 41)
    run = {"epoch": epochs.tolist(), "train_loss": (0.5 / epochs).tolist(), "val_loss": [0.5] * 40}
    found = diagnose(tool_histories.sparse(run, 5))
    assert (found.gap_opens.low, found.gap_opens.epoch) == (1, 5)


def test_epochs_that_were_trained_again_count_once():
    """A run that was killed after epoch 10 and went on from the checkpoint of epoch 7."""
    run = tool_histories.rows(tool_histories.keras_columns(curves("overfitting")))
    numbered = [row | {"epoch": number} for number, row in enumerate(run, 1)]
    lost = [row | {"epoch": row["epoch"], "val_loss": 7.0} for row in numbered[7:10]]
    history = parse([*numbered[:7], *lost, *numbered[7:]])
    assert history.epochs.tolist() == list(range(1, EPOCHS + 1)) and history.val_loss.max() < 7
    assert any("stand in the file twice" in note for note in history.notes)
    unfinished = parse([*numbered[:7], *lost, numbered[7]])  # and was killed again
    assert unfinished.epochs.tolist() == list(range(1, 9))


def test_a_run_that_began_anew_is_not_counted_on():
    run = tool_histories.rows(tool_histories.keras_columns(curves("still improving")))
    numbered = [row | {"epoch": number} for number, row in enumerate(run)]
    assert parse([*numbered[:10], *numbered]).epochs.tolist() == list(range(1, EPOCHS + 1))


def test_rows_in_another_order_are_put_in_order():
    run = tool_histories.rows(
        {"epoch": curves("overfitting")["epoch"]} | tool_histories.keras_columns(curves("overfitting"))
    )
    newest_first = diagnose(run[::-1])
    assert newest_first.to_dict() == diagnose(run).to_dict()
    random.Random(0).shuffle(run)
    assert diagnose(run).to_dict() == newest_first.to_dict()


def test_names_that_stand_in_the_file_twice(read):
    text = tool_histories.keras_csv(curves("overfitting"))
    lines = text.splitlines(keepends=True)
    again = "".join([*lines[:9], lines[0], *lines[9:]])
    assert diagnose(read(again)).to_dict() == diagnose(read(text)).to_dict()


def test_a_line_that_is_being_written(read):
    text = tool_histories.deit(curves("overfitting"))
    assert diagnose(read(text + text.splitlines()[-1][:40])).epochs == EPOCHS
    lines = text.splitlines()
    with pytest.raises(InputError, match="line 6 is not JSON"):
        diagnose(read("\n".join([*lines[:5], lines[5][:-3], *lines[6:]])))


def test_a_sum_over_batches_is_no_mean():
    """A training loop that adds up the losses of 40 batches; it had been told that it diverged."""
    run = curves("overfitting")
    with pytest.raises(InputError, match=r"'train_loss' is at least \d+ times 'val_loss' in every epoch.*divide it"):
        diagnose(run | {"train_loss": [40 * loss for loss in run["train_loss"]], "val_loss": run["train_loss"]})


def test_averages_of_every_fifth_epoch_are_set_forward_by_half_an_epoch():
    history = parse({"epoch": [5, 10, 15], "loss": [1.0, 0.5, 0.4], "val_loss": [0.9, 0.6, 0.5]})
    assert history.train_loss[0] == pytest.approx(0.95)


def test_what_is_missing_in_a_data_frame_did_not_diverge():
    """pandas has NaN where a row lacks a score."""
    pandas = pytest.importorskip("pandas")
    for form in ("Lightning, CSVLogger", "Lightning, CSVLogger with steps"):
        frame = pandas.read_csv(io.StringIO(FORMS[form].write(curves("overfitting"))))
        for content in (frame, frame.to_dict("records"), frame.set_index("epoch")):
            assert (diagnose(content).verdict, diagnose(content).epochs) == ("overfitting", EPOCHS)


def test_many_restarts_are_told_once():
    rows = 1_000
    epoch = [number % 2 for number in range(rows)]
    history = parse({"epoch": epoch, "loss": np.linspace(1, 0.2, rows), "val_loss": np.linspace(1, 0.3, rows)})
    assert len(history.epochs) == rows and sum("do not ascend" in note for note in history.notes) == 1


# Times


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([f"{m:02}:{s:02}" for m, s in ((0, 12), (0, 13), (0, 11), (0, 12))], 12),
        (["0:00:12", "0:00:11", "0:00:13", "0:00:12.0"], 12),
        ([12.5, 25.0, 36.0, 48.0], 12),
        (["12 sec", "24 sec", "36 sec", "48 sec"], 12),
    ],
)
def test_times_in_every_form(times, expected):
    columns = {"loss": [0.9, 0.5, 0.3, 0.2], "val_loss": [0.9, 0.6, 0.7, 0.9], "time": times}
    assert parse(columns).seconds[-1] == pytest.approx(expected)


def test_a_clock_that_began_again_with_the_run():
    times = [12.0 * (epoch % 10 + 1) for epoch in range(20)]
    columns = {"loss": np.linspace(1, 0.2, 20), "val_loss": np.linspace(1, 0.5, 20), "time": times}
    assert parse(columns).seconds[1:].tolist() == [12.0] * 19


def test_a_time_that_cannot_be_read_costs_a_note():
    found = diagnose({"loss": [0.9, 0.5, 0.3, 0.2], "val_loss": [0.9, 0.6, 0.7, 0.9], "time": ["soon"] * 4})
    assert found.verdict == "overfitting" and found.seconds_saved is None
    assert any("column 'time', row 1: got 'soon', expected a number; it is left out." in note for note in found.notes)


def test_clock_times_are_no_durations():
    columns = {
        "loss": np.linspace(1, 0.2, 9),
        "val_loss": np.linspace(1, 0.5, 9),
        "time": [f"10:{m}:07" for m in range(10, 19)],
    }
    assert np.nanmax(parse(columns).seconds) == 60


# What is said


def test_the_columns_are_told(read):
    found = diagnose(read(tool_histories.ultralytics(curves("overfitting"))))
    assert found.columns["val_loss"] == "val/loss" and found.columns["val_accuracy"] == "metrics/accuracy_top1"
    (told,) = [note for note in found.notes if note.startswith("Columns read")]
    assert "'metrics/accuracy_top1' as validation accuracy" in told and "metrics/accuracy_top5" in told
    assert any("run on from the start" in note for note in found.notes)
    plain = diagnose(read(tool_histories.keras_csv(curves("overfitting"))))
    assert not any(note.startswith("Columns") for note in plain.notes)


@pytest.mark.parametrize("start", [b"\x80\x04\x95", b"(dp0\nVloss\n"])
def test_a_pickle_is_refused_with_the_way_out(start, read):
    with pytest.raises(InputError, match=r"is a pickle, which can run code.*json\.dump"):
        diagnose(read(start + b"\x00", "pkl"))


def test_text_of_a_windows_terminal(read):
    text = tool_histories.keras_csv(curves("overfitting"))
    assert diagnose(read(text.encode("utf-16"))).to_dict() == diagnose(read(text)).to_dict()


def test_one_curve_alone_is_refused(read):
    with pytest.raises(InputError, match="no known column among Wall time, Step, Value; expected several side by side"):
        diagnose(read("Wall time,Step,Value\n1.7e9,1,0.5\n1.7e9,2,0.4\n"))
    with pytest.raises(InputError, match="expected a list of numbers for each column"):
        diagnose(read("[[1.7e9, 1, 0.5], [1.7e9, 2, 0.4]]", "json"))


# Nothing was learnt


@pytest.mark.parametrize(
    "columns",
    [
        {"loss": [2.303] * 20, "accuracy": [0.1] * 20, "val_loss": [2.303] * 20, "val_accuracy": [0.1] * 20},
        {"loss": [2.31, *[2.3027, 2.3026] * 10], "val_loss": [2.3026] * 21},
        {"loss": [0.694, 0.693] * 8, "accuracy": [0.5, 0.51] * 8, "val_loss": [0.693] * 16, "val_accuracy": [0.5] * 16},
        {"accuracy": [0.1, 0.102, 0.099] * 5, "val_accuracy": [0.1] * 15},
    ],
)
def test_at_chance_level_more_epochs_are_no_advice(columns):
    found = diagnose(columns, validation_size=1000)
    assert (found.verdict, found.cause) == ("underfitting", "chance"), found.text()
    titles = " / ".join(offer.title for offer in found.advice)
    assert "learning rate" in titles and "long" not in titles and "filters" not in titles
    assert "labels" in found.text() and "the loss fits the last layer" in " ".join(found.text().split())


def test_a_plateau_above_chance_is_not_chance():
    level = {"loss": [1.7, *[1.5] * 19], "accuracy": [0.4, *[0.45] * 19], "val_loss": [1.5] * 20}
    assert (diagnose(level).verdict, diagnose(level).cause) == ("underfitting", "")


def test_a_constant_has_no_jitter():
    found = diagnose({"loss": [2.303] * 20, "val_loss": [2.303] * 20})
    assert found.noise == 0 and "jitters" not in found.text() and "is 2.303 in every epoch" in found.text()


# Whatever stands beside


@pytest.mark.parametrize("seed", range(24))
def test_what_stands_beside_a_history_changes_nothing(seed, read):
    rng = random.Random(seed)
    verdict = VERDICTS[seed % len(VERDICTS)]
    run = curves(verdict)
    names = rng.choice(
        [
            dict(zip(run, run, strict=True)),
            {
                "epoch": "Epoch",
                "train_loss": "loss",
                "train_accuracy": "acc",
                "val_loss": "val loss",
                "val_accuracy": "val acc",
            },
        ]
    )
    rows = [{names.get(name, name): cell for name, cell in row.items()} for row in disturbed(run, rng)]
    text, suffix = rng.choice([(tool_histories.table(rows), "csv"), (json.dumps(rows), "json")])
    found = diagnose(read(text, suffix))
    assert (found.verdict, found.epochs) == (verdict, EPOCHS), found.text()


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_of_every_form_are_read_or_refused(seed, read):
    """Bytes lost, doubled or changed: a diagnosis or one message, nothing else."""
    rng = random.Random(seed)
    for form in FORMS.values():
        try:
            assert diagnose(read(damaged(form.write(curves("good fit", 6)), rng), form.suffix)).text()
        except InputError as error:
            assert len(str(error)) < 5000


@pytest.mark.parametrize(
    "content",
    [
        {"a": {"b": {"c": {"d": {"e": {"f": [1]}}}}}},
        {"loss": [[1, 2], [3, 4]], "val_loss": [1, 2]},
        {"loss": ["x"], "val_loss": [{}]},
        {"columns": [1, 2], "data": [3]},
        {"columns": ["loss", "val_loss"], "data": [[1, 2, 3], []]},
        {"loss": [True, False], "val_loss": [1, 2]},
        {"epoch": [1e308, 1e308], "loss": [1, 2], "val_loss": [1, 2]},
        {"epoch": ["nan", None], "loss": [1, 2], "val_loss": [1, 2]},
        {"epoch": [-1, 5], "loss": [1, 2], "val_loss": [1, 2]},
        {"epoch": [0, 0], "val_loss": [1, 2], "loss": [None, None]},
        {"loss": [10**400], "val_loss": [1]},
        [{"data": "train", "value": 1}],
        [[]],
        [{}],
        {"": [1]},
        [{f"name{number}": 1, "loss": 1} for number in range(5_000)],
        [{"epoch": number, "metric": f"m{number}", "value": 1.0} for number in range(5_000)],
        {f"val loss{' ' * number}": [1, 2] for number in range(5_000)},
        {name: [math.nan] * 6 for name in ("loss", "val_loss", "accuracy", "val_accuracy")},
        {"train_loss": [1.0, math.nan], "val_loss": [math.nan, 1.0], "accuracy": [None, 0.5]},
        {"val_loss_0": [1.0, math.nan], "val_loss_1": [math.nan, 1.0]},
        {"loss": np.zeros((2, 2)), "val_loss": np.zeros(2)},
        {"metric": ["loss"], "epoch": [1], "value": [[1]]},
        "loss",
        7,
        None,
    ],
)
def test_what_is_hardly_a_history_is_read_or_refused(content):
    try:
        diagnose(content)
    except InputError as error:
        assert str(error)
