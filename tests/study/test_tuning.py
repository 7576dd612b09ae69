"""A sweep from its first trial to its page: what is tried, stopped, told and gone on with after a kill."""

import json
import shlex
import sys

import pytest
from optuna.storages.journal import JournalFileBackend
from support.pages import Page
from support.sweep_runs import EPOCHS, Killed, MadeUp, floor, score

from fmnist import pipeline, preset, tune
from fmnist.config import Range
from fmnist.errors import InputError, RunError
from fmnist.run.directory import RunDirectory, read_json, write_json
from fmnist.study import StudyWatcher, is_done, list_studies, run_in_turn
from fmnist.study.runner import stop_early
from fmnist.study.tuning.journal import Trial
from fmnist.study.tuning.referee import Referee
from fmnist.study.tuning.search import Clock
from fmnist.study.tuning.sweep import Sweep
from fmnist.training.progress import Interrupted

SEARCH = {"learning_rate": None, "dropout": Range(0.0, 0.5), "flip": None}
SWEEP = Sweep("made-up", "Which are best?", "reference", {"epochs": EPOCHS, "filters": (4, 8)}, SEARCH)


@pytest.fixture(autouse=True)
def scored(monkeypatch):
    """The runs that were scored on the test set, which needs a model; runs here have none. Pages are not drawn."""
    runs = []
    monkeypatch.setattr("fmnist.study.tuning.page.write_page", lambda *_: None)
    monkeypatch.setattr("fmnist.study.tuning.journal.FEWEST_FOR_IMPORTANCE", sys.maxsize)
    monkeypatch.setattr(pipeline, "resume", lambda run, *_, **__: (runs.append(run.name), score(run)))
    return runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_dataset):
    """A sweep that nobody interrupted: its folder and its result."""
    folder = tmp_path_factory.mktemp("runs") / "made-up"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "resume", score)
        return folder, tune(SWEEP, tiny_dataset, folder, trials=10, runner=MadeUp())


def tried(result):
    """What was tried, and what became of it."""
    return [(row["run"], row["values"], row["outcome"], row["val_loss"]) for row in result["trials"]]


def test_it_finds_the_lowest_loss_and_tells_all(whole):
    folder, result = whole
    assert read_json(folder / "sweep.json") == json.loads(json.dumps(result)) and result["state"] == "finished"
    assert [row["run"] for row in result["trials"]] == [f"trial-{number:03d}" for number in range(10)]
    finished = [row for row in result["trials"] if row["outcome"] == "finished"]
    assert result["best"]["val_loss"] == min(row["val_loss"] for row in finished) < finished[0]["val_loss"]
    assert result["counts"]["stopped early"] > 1 and sum(result["counts"].values()) == 10
    assert {row["epochs"] for row in result["trials"] if row["outcome"] == "stopped early"} <= {1, 2}
    assert set(result["importance"]) == {"learning_rate", "dropout", "flip"}
    assert max(result["importance"], key=result["importance"].get) == "learning_rate"
    for row in finished:
        assert row["val_loss"] == pytest.approx(floor(SWEEP.config(row["values"])) * (1 + 1 / EPOCHS))
    assert result["best"]["run"] in (folder / "table.md").read_text("utf-8")


def test_the_first_trial_has_the_presets_own_values(whole):
    assert whole[1]["trials"][0]["values"] == {"learning_rate": 1e-3, "dropout": 0.0, "flip": False}


def test_the_test_set_is_read_for_the_best_trial_alone(tiny_dataset, tmp_path, scored):
    result = tune(SWEEP, tiny_dataset, tmp_path / "made-up", trials=8, runner=MadeUp())
    assert scored == [result["best"]["run"]] and result["best"]["test"]["accuracy"] == 0.9
    assert [run.name for run in map(RunDirectory, (tmp_path / "made-up").iterdir()) if run.metrics.is_file()] == scored


def test_the_command_trains_the_best_settings(whole):
    from fmnist.cli.train import command

    _, result = whole
    words = shlex.split(result["best"]["command"].replace("\\\n", ""))
    assert words[:2] == ["fmnist", "train"]
    given = command.make_context("train", words[2:]).params
    values = {name: given[name] for name in result["best"]["values"] if given[name] is not None}
    own = {"learning_rate": 1e-3, "dropout": 0.0, "flip": False}
    assert own | values == result["best"]["values"] and given["epochs"] == EPOCHS and given["name"] == "made-up-best"


@pytest.mark.parametrize("question", (1, 5, 11, 15))
def test_killed_while_training_it_ends_in_the_same_trials(whole, tiny_dataset, tmp_path, question):
    with pytest.raises(Killed):
        tune(SWEEP, tiny_dataset, tmp_path / "made-up", trials=10, runner=MadeUp(kill_at=question))
    assert list_studies(tmp_path)[0]["state"] == "running"
    assert tried(tune(SWEEP, tiny_dataset, tmp_path / "made-up", trials=10, runner=MadeUp())) == tried(whole[1])


@pytest.mark.parametrize("torn", (False, True))
def test_killed_at_any_record_it_ends_in_the_same_trials(whole, tiny_dataset, tmp_path, monkeypatch, torn):
    """The driver is killed again and again, each time at the fifth record it writes, or in the middle of that one."""
    write, left = JournalFileBackend.append_logs, 0

    def killed(self, logs):
        nonlocal left
        left -= 1
        if left == 0:
            if torn:
                with open(tmp_path / "made-up" / "journal.log", "a", encoding="utf-8") as handle:
                    handle.write(json.dumps(logs[0])[:20])
            raise Killed
        write(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", killed)
    runner, kills = MadeUp(), 0
    while True:
        left = 5 if kills < 20 else -1
        try:
            result = tune(SWEEP, tiny_dataset, tmp_path / "made-up", trials=10, runner=runner)
            break
        except Killed:
            kills += 1
    assert kills == 20 and tried(result) == tried(whole[1])


def test_a_stop_leaves_the_trial_open_and_more_trials_go_on(whole, tiny_dataset, tmp_path):
    folder = tmp_path / "made-up"
    with pytest.raises(Interrupted):
        tune(SWEEP, tiny_dataset, folder, trials=10, runner=MadeUp(), should_stop=lambda: True)
    tune(SWEEP, tiny_dataset, folder, trials=5, runner=MadeUp())
    runner = MadeUp()
    assert tried(tune(SWEEP, tiny_dataset, folder, trials=10, runner=runner)) == tried(whole[1])
    assert runner.begun == [f"trial-{number:03d}" for number in range(5, 10)]


def test_a_sweep_that_was_begun_otherwise_is_refused(whole, tiny_dataset, tmp_path):
    folder, _ = whole
    for changed, told in (
        (SWEEP.changed({"epochs": 3}), "epochs was 4, is 3"),
        (Sweep("x", "", "reference", SWEEP.settings, {"dropout": None}), "learning_rate was searched in"),
    ):
        with pytest.raises(InputError, match="was begun otherwise; choose another name") as caught:
            tune(changed, tiny_dataset, folder, runner=MadeUp())
        assert told in str(caught.value)
    write_json(tmp_path / "study.json", {})
    with pytest.raises(InputError, match="holds a run or a study, not a sweep"):
        tune(SWEEP, tiny_dataset, tmp_path)
    with pytest.raises(InputError, match="holds a study or a sweep"):
        pipeline.check_place(RunDirectory(folder), overwrite=True)
    with pytest.raises(InputError, match="`validation_fraction=0.0` leaves no image to validate on"):
        tune(SWEEP.changed({"validation_fraction": 0.0}), tiny_dataset, tmp_path / "none")


def test_runs_that_the_journal_does_not_know_are_refused(whole, tiny_dataset, tmp_path):
    folder = tmp_path / "made-up"
    tune(SWEEP, tiny_dataset, folder, trials=3, runner=MadeUp())
    (folder / "journal.log").unlink()
    write_json(folder / "trial-001" / "config.json", preset("reference").to_dict())
    with pytest.raises(InputError, match="holds runs that its journal does not know:\n  trial-001: .*epochs was 20"):
        tune(SWEEP, tiny_dataset, folder, trials=3, runner=MadeUp())


def test_what_diverges_or_does_not_go_together_stops_no_sweep(tiny_dataset, tmp_path):
    search = {"learning_rate": Range(0.001, 5.0, log=True), "optimizer": ("adam", "adamw"), "weight_decay": (0.0, 0.1)}
    sweep = Sweep("wild", "", "reference", {"epochs": 4}, search)
    result = tune(sweep, tiny_dataset, tmp_path / "wild", trials=12, runner=MadeUp())
    assert {"finished", "diverged", "refused"} <= result["counts"].keys()
    notes = {row["outcome"]: row["note"] for row in result["trials"]}
    assert notes["diverged"] == "the loss became nan" and notes["refused"].startswith("weight_decay: adam has none")
    told = (tmp_path / "wild" / "table.md").read_text("utf-8")
    assert "| diverged |" in told and "| refused |" in told


def test_where_no_trial_finishes_that_is_told(tiny_dataset, tmp_path):
    sweep = Sweep("wild", "", "reference", {"epochs": 4}, {"learning_rate": Range(1.0, 5.0)})
    with pytest.raises(RunError, match="none of 2 trials in .*wild has finished"):
        tune(sweep, tiny_dataset, tmp_path / "wild", trials=2, runner=MadeUp())


def test_several_at_once(tiny_dataset, tmp_path):
    runner = MadeUp()
    result = tune(SWEEP, tiny_dataset, tmp_path / "made-up", trials=8, runner=runner, at_once=3)
    assert runner.batches == [3, 3, 2]
    assert len({json.dumps(row["values"]) for row in result["trials"]}) == 8


def test_lists_as_choices(tiny_dataset, tmp_path):
    sweep = Sweep("lists", "", "reference", {"epochs": 2}, {"filters": ((4, 8), (8, 8))})
    result = tune(sweep, tiny_dataset, tmp_path / "lists", trials=4, runner=MadeUp())
    assert {row["values"]["filters"] for row in result["trials"]} <= {(4, 8), (8, 8)}


def test_a_trial_goes_on_among_the_better_half():
    """Of a run of 8 epochs, after 2 and after 4; equals go on."""

    def trial(number, losses):
        return Trial(number, {}, "running", losses, None, "", number)

    referee = Referee(8, [trial(0, {1: 9.0, 2: 1.0, 4: 0.8, 8: 0.5})])
    assert not referee.falls_behind(trial(1, {}), {1: 99.0})
    assert referee.falls_behind(trial(1, {}), {1: 99.0, 2: 1.1})
    assert not referee.falls_behind(trial(2, {}), {2: 0.9, 3: 5.0})
    assert referee.falls_behind(trial(2, {}), {2: 0.9, 3: 5.0, 4: 0.9})
    assert not referee.falls_behind(trial(3, {}), {2: 0.95, 4: 0.7, 8: 9.0})


def test_a_trial_is_begun_only_where_there_is_time_for_it(monkeypatch):
    now = 0.0
    monkeypatch.setattr("fmnist.study.tuning.search.time.monotonic", lambda: now)
    clock = Clock(60.0, 100.0)
    assert clock.room(0) == float("inf") and Clock(60.0, None).room(3) == float("inf")
    assert clock.room(3) == 2.0
    now = 25.0
    assert clock.room(3) == pytest.approx(15 * 3 / 85)


def test_a_run_that_is_stopped_early_counts_as_done(tiny_dataset, tmp_path):
    """Through the real runner: it ends after the segment under way, and is not scored."""
    run, config = RunDirectory(tmp_path / "run"), preset("reference", epochs=2, filters=(4, 8), batch_size=64)
    questions = []

    def should_stop():
        questions.append(1)
        stop_early(run, "a test")
        return False

    run_in_turn([(run, config)], tiny_dataset, StudyWatcher(), should_stop)
    assert (run.state(), is_done(run), run.metrics.is_file(), len(questions)) == ("interrupted", True, False, 1)


def test_the_page_needs_nothing_else(whole):
    folder, result = whole
    page = Page(folder / "report.html")
    assert len(page.all("svg")) == 1 + 3 + 2 and "by the loss after epoch 1, which all trials reached" in page.text
    assert not page.all("script") and not page.all("link") and not page.all("img")
    assert result["best"]["run"] in page.text and "90.00%" in page.text
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))


def test_it_is_listed(whole, run_cli):
    folder, _ = whole
    code, told, _ = run_cli("runs", "--runs-dir", folder.parent)
    assert code == 0 and "sweep made-up: 10 of 10 runs done, finished" in told


def test_the_command(run_cli, tmp_path, tiny_data_dir, monkeypatch):
    monkeypatch.setattr("fmnist.study.duration.probe", lambda *_: 2.0)
    words = ["tune", "first", "--preset", "reference", "--epochs", "2", "--filters", "4,8", "--data-dir", tiny_data_dir]
    words += ["--runs-dir", tmp_path, "--trials", "5"]
    code, told, said = run_cli(*words, "--dry-run")
    assert code == 0 and "5 trials: 10 s, 7.0 s to 16 s" in told and not (tmp_path / "first").exists()
    assert "learning_rate    0.0001 to 0.01, log scale  0.001" in told
    code, told, _ = run_cli(*words, "--dry-run", "--time-budget", "4s", "--json")
    assert json.loads(told)["trials"] == 2 and json.loads(told)["space"]["flip"] == [False, True]
    for wrong, why in ((["--folds", "3"], "No such option"), (["--trials", "0"], "0 is not in the range")):
        code, _, said = run_cli(*words, *wrong)
        assert code == 2 and why in said


def test_what_is_missing_is_named(run_cli, monkeypatch, tiny_dataset, tmp_path):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RunError, match=r"For PostgreSQL: pip install 'fmnist\[postgresql\]'"):
        tune(SWEEP, tiny_dataset, tmp_path / "x", storage="postgresql://127.0.0.1:1/none", runner=MadeUp())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, said = run_cli("tune", "first")
    assert code == 1 and "pip install 'fmnist[tune]'" in said
