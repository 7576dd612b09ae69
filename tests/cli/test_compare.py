"""`fmnist compare`: what it prints, what it refuses, and that a kill costs nothing but time."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fmnist.run.directory import read_json

MINE = """\
description: Does it help?
settings: {filters: [4, 8, 8], epochs: 2, batch_size: 32, segment_steps: 4}
seeds: 2
variants:
  flip: {flip: true}
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE, "utf-8")
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["remedys"], "did you mean 'remedies'"),
        (["nowhere.yaml"], "cannot read nowhere.yaml"),
        (["remedies", "--seeds", "0"], "got '0', expected how many seeds"),
        (["remedies", "--seeds", "101"], "got '101', expected how many seeds (1 to 100)"),
        (["remedies", "--seeds", "9" * 310], "expected how many seeds"),
        (["remedies", "--seeds", "1,1"], "seed 1 stands there twice"),
        (["remedies", "--seed", "1"], "a study takes --seeds"),
        (["remedies", "--name", "a/b"], "expected a plain name"),
        (["remedies", "--epochs", "0"], "epochs: got 0"),
        (["remedies", "--engine", "procesess"], "got --engine procesess, expected in-turn, processes, processes:N"),
        (["remedies", "--gpus", "1"], "--gpus and --engine-options are for engines"),
        (["remedies", "--limit", "5"], "--limit 5 and --validation-fraction 0.2 leave 4 training images"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(
    arguments, expected, run_cli, tmp_path, tiny_data_dir, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli("compare", *arguments, "--data-dir", tiny_data_dir)
    assert (code, out) == (2, "") and expected in err and "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_plan_study_and_list(run_cli, mine, tiny_data_dir, tmp_path):
    where = ["--data-dir", tiny_data_dir, "--runs-dir", tmp_path / "runs", "--seeds", "1"]
    code, out, err = run_cli("compare", mine, "--dry-run", *where)
    assert code == 0 and not (tmp_path / "runs").exists()
    assert re.search(r"^baseline-seed0 +not started +about \d+(\.\d)? s$", out, re.MULTILINE)
    assert re.search(r"2 of 2 runs to go: [\d.]+ (s|min), [\d.]+ (s|min) to [\d.]+ (s|min)", out)
    code, out, err = run_cli("compare", mine, *where)
    assert code == 0 and "Difference to the baseline ± half of its 95% interval" in out
    assert re.search(r"^- flip .* points.*\.$", out, re.MULTILINE)
    assert re.search(r"^Forecast  2 runs, .* from short probes\)$", err, re.MULTILINE)
    assert re.search(
        r"^Run 1/2  baseline-seed0   \d+(\.\d)? s   validation \d.*% +gap .* points   about .* left$", err, re.MULTILINE
    )
    code, out, err = run_cli("compare", mine, *where, "--json")
    assert code == 0 and json.loads(out) == read_json(tmp_path / "runs" / "mine" / "study.json")
    assert "Done      2 of 2 runs" in err
    code, out, _ = run_cli("runs", "--runs-dir", tmp_path / "runs")
    assert (code, out) == (0, "study mine: 2 of 2 runs done, finished\n")
    shutil.copytree(tmp_path / "runs" / "mine", tmp_path / "runs" / "other")
    code, out, err = run_cli("compare", mine, *where, "--name", "other")
    assert code == 0 and out.startswith("Study other")
    shutil.rmtree(tmp_path / "runs" / "other")
    code, out, err = run_cli("compare", mine, *where, "--epochs", "1", "--dry-run", "--json")
    assert [row["stale"] for row in json.loads(out)["runs"]] == ["epochs was 2, is 1"] * 2
    code, out, err = run_cli("train", "--name", "mine", *where[:4])
    assert code == 2 and "holds a study" in err


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 3.0])
def test_killed_for_real_and_started_again(seconds, run_cli, mine, tiny_data_dir, tmp_path):
    """SIGKILL a while after the first run began; the table is that of a study that nobody killed, times aside."""
    tables = []
    for name in ("whole", "killed"):
        arguments = ["compare", mine, "--data-dir", tiny_data_dir, "--runs-dir", tmp_path, "--name", name]
        if name == "killed":
            process = subprocess.Popen([sys.executable, "-m", "fmnist", *map(str, arguments)])
            deadline = time.monotonic() + 120
            while not (tmp_path / name / "baseline-seed0").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        code, _, _ = run_cli(*arguments)
        assert code == 0
        rows = [line.split("|") for line in (tmp_path / name / "table.md").read_text("utf-8").splitlines()]
        tables.append([[cell for place, cell in enumerate(row) if place != 8] for row in rows if len(row) > 8])
    assert tables[0] == tables[1] and len(tables[0]) == 2 * 2 + 3
