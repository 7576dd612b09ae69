"""Malformed files of every kind that is read: one error of ours each, whatever is in them, and little memory."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support import malformed, malformed_reading

from fmnist.errors import InputError
from fmnist.run import schema
from fmnist.run.directory import RunDirectory, write_json

SCRIPT = Path(malformed_reading.__file__)


def read_all(count, seed):
    """In a process of its own, so that its memory can be told."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(count), str(seed)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", [1, random.SystemRandom().randrange(2**31)], ids=["fixed", "new"])
def test_malformed_files_are_refused(seed):
    found = read_all(300 if seed == 1 else 100, seed)
    assert found["tracebacks"] == [], found["seed"]
    assert set(found["refused"]) == set(malformed_reading.READERS), found["seed"]
    assert found["grown_mib"] < 100, found["seed"]


def test_the_unbroken_files_are_fine(tmp_path):
    """Else refusing them broken would prove nothing."""
    for kind, name, content in (
        ("idx", malformed.FILE_NAMES[0], malformed.IMAGES),
        ("csv", "history.csv", malformed.HISTORY.encode()),
        ("yaml", "study.yaml", malformed.STUDY.encode()),
        *(("json", name, json.dumps(content).encode()) for name, content in malformed.RUN_FILES.items()),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(content)
        malformed_reading.READERS[kind](folder, name)


def test_a_run_as_it_is_written_is_in_order(tiny_run):
    assert schema.problems(tiny_run) == []


def test_all_that_is_wrong_with_a_run_is_told_at_once(tmp_path):
    run = RunDirectory(tmp_path / "run")
    files = malformed.RUN_FILES
    write_json(run.config, files["config.json"])
    write_json(run.status, files["status.json"] | {"epoch": "two"})
    write_json(run.metrics, {key: value for key, value in files["metrics.json"].items() if key != "loss"})
    write_json(
        run.exports_index, {"model_sha256": "0", "files": [files["exports.json"]["files"][0] | {"file": "../x"}]}
    )
    with pytest.raises(InputError) as caught:
        schema.check(run)
    assert [line[4:] for line in str(caught.value).splitlines()[1:-1]] == [
        "status.json: epoch is 'two', expected a whole number",
        "metrics.json: loss is missing",
        "exports.json: files[0].file is '../x', expected a file's name without a slash",
    ]


@pytest.mark.parametrize("command", ["evaluate", "report", "export", "diagnose"])
def test_commands_refuse_a_damaged_run(command, run_cli, tmp_path, tiny_data_dir):
    run = RunDirectory(tmp_path / "run")
    write_json(run.config, {"preset": "fast"})
    where = [] if command == "diagnose" else ["--data-dir", tiny_data_dir]
    code, out, err = run_cli(command, run.path, *where)
    assert (code, out) == (2, "") and "config.json: dataset is missing" in err and "fmnist doctor" in err


def test_a_spoilt_run_is_listed_and_refused(run_cli, tmp_path):
    """Whatever one of its files says: the list shows it, and the diagnosis is made or refused in words."""
    rng = random.Random(5)
    for number in range(80):
        folder = tmp_path / str(number) / "run"
        (folder / "exports").mkdir(parents=True)
        for name, content in malformed.RUN_FILES.items():
            write_json(folder / ("exports" if name == "exports.json" else "") / name, content)
        (folder / "history.csv").write_text(malformed.HISTORY)
        name, content = malformed.broken_json(rng)
        (folder / ("exports" if name == "exports.json" else "") / name).write_bytes(content)
        code, out, err = run_cli("runs", "--runs-dir", folder.parent)
        assert (code, err) == (0, "") and out.count("run ") == 1, content
        code, out, err = run_cli("diagnose", folder)
        assert code == 0 or (code == 2 and "Error: " in err and "unexpected" not in err), (content, err)
