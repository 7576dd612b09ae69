"""The check of a run's JSON files: what it says of each kind of fault, and what it lets through."""

import json
import subprocess
import sys

import pytest
from support import malformed

from fmnist.run import schema
from fmnist.run.directory import RunDirectory

FILES = malformed.RUN_FILES | {
    "diagnosis.json": {
        "verdict": "overfitting",
        "gap_opens": {"epoch": 3, "low": 2, "high": 4},
        "turns": None,
        "sentences": ["The gap opens."],
        "advice": [{"text": "Try more dropout.", "settings": {"dropout": 0.4}}],
        "notes": [],
    },
    "robustness.json": {
        "accuracy": 0.5,
        "clean": {"accuracy": 0.9, "ece": 0.01, "unfamiliar": None},
        "kinds": [{"name": "fog", "accuracy": [0.5] * 5, "ece": [0.1] * 5, "unfamiliar": [None] * 5}],
        "num_images": 20,
        "slices": {
            "accuracy": 0.9,
            "num_images": 100,
            "failing": [{"traits": ["Shirt", "dark"], "accuracy": 0.5, "num_images": 30}],
        },
    },
    "benchmark.json": {
        "environment": {"processor": "x", "cores": 2, "gpu": None},
        "rows": [{"format": "litert", "ms": 1.5}],
    },
}


def problems(folder, name, content):
    run = RunDirectory(folder)
    path = run.exports_index if name == "exports.json" else run.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return [text.removeprefix(f"{name}: ") for text in schema.problems(run)]


def changed(value, path, new):
    """Return a copy of nested values with one replaced; `...` removes it."""
    key, *rest = path
    if not rest and new is ...:
        return {name: item for name, item in value.items() if name != key}
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], rest, new) if rest else new
    return copy


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_in_order_and_keys_of_later_versions_are_let_through(name, tmp_path):
    assert problems(tmp_path, name, FILES[name] | {"from_a_later_version": [None]}) == []


@pytest.mark.parametrize(
    ("name", "path", "new", "expected"),
    [
        ("config.json", ["preset"], ..., "preset is missing"),
        ("config.json", ["parameters"], True, "parameters is True, expected a whole number"),
        ("config.json", ["model"], [], "model is a list, expected an object"),
        ("config.json", ["model", "filters"], [1, "a"], "model.filters is a list, expected text, a number, true or "),
        ("config.json", ["dataset", "class_names"], ["a"], "dataset.class_names: list should have at least 2 items"),
        (
            "config.json",
            ["dataset", "image_shape"],
            [5, 5, 3, 1],
            "dataset.image_shape: list should have at most 3 items",
        ),
        ("config.json", ["dataset", "image_shape", 0], 0, "dataset.image_shape[0]: input should be greater than or e"),
        ("environment.json", ["data_sha256", "x"], 1, "data_sha256.x is 1, expected text"),
        ("environment.json", ["cores"], 1e15, "cores is 1000000000000000.0, expected a whole number"),
        ("environment.json", ["cores"], 10**15, "cores is 1000000000000000, expected a whole number"),
        ("status.json", ["seconds"], "1.5", "seconds is '1.5', expected a number"),
        ("status.json", ["seconds"], 10**400, "seconds is 1000"),
        ("status.json", ["seconds"], -1e15, "seconds is -1000000000000000.0, expected a number"),
        ("status.json", ["seconds"], float("nan"), "seconds is nan, expected a number"),
        ("status.json", ["message"], None, "message is None, expected text"),
        ("first_epoch.json", ["segments", 1], [2], "segments[1]: list should have at least 2 items"),
        ("first_epoch.json", ["segments", 1, 1], "x", "segments[1][1] is 'x', expected a number"),
        ("calibration.json", ["temperature"], ..., "temperature is missing"),
        ("calibration.json", ["temperature"], -1, "temperature is -1, expected a number above 0"),
        ("calibration.json", ["temperature"], 0, "temperature is 0, expected a number above 0"),
        ("calibration.json", ["temperature"], float("inf"), "temperature is inf, expected a number above 0"),
        ("calibration.json", ["temperature"], "1", "temperature is '1', expected a number above 0"),
        (
            "config.json",
            ["dataset", "class_names", 0],
            "a\x1b[2J",
            r"dataset.class_names[0] is 'a\x1b[2J', expected text",
        ),
        ("metrics.json", ["per_class", 0, "name"], "a\nb", r"per_class[0].name is 'a\nb', expected text without"),
        ("metrics.json", ["accuracy"], 1.5, "accuracy is 1.5, expected a number from 0 to 1"),
        ("metrics.json", ["accuracy"], False, "accuracy is False, expected a number from 0 to 1"),
        ("metrics.json", ["accuracy_interval"], [0.1], "accuracy_interval: list should have at least 2 items"),
        ("metrics.json", ["per_class", 1, "f1"], "x", "per_class[1].f1 is 'x', expected a number from 0 to 1"),
        ("metrics.json", ["confusion_matrix", 0, 1], 1.5, "confusion_matrix[0][1] is 1.5, expected a whole number"),
        ("metrics.json", ["confusion_matrix", 0], [2], "its confusion matrix does not fit its 2 classes"),
        ("metrics.json", ["per_class"], [], "its confusion matrix does not fit its 2 classes"),
        ("metrics.json", ["num_images"], 7, "its confusion matrix does not count its images"),
        ("metrics.json", ["confusion_matrix", 0], [4, -1], "confusion_matrix[0][1]: input should be greater than or"),
        ("diagnosis.json", ["gap_opens"], 3, "gap_opens is 3, expected an object"),
        ("diagnosis.json", ["advice", 0, "text"], 3, "advice[0].text is 3, expected text or settings"),
        ("exports.json", ["files", 0, "passed"], 1, "files[0].passed is 1, expected true or false"),
        *(
            ("exports.json", ["files", 0, "file"], file, f"files[0].file is {file!r}, expected a file's name without")
            for file in ("../x", "a/b", "a\\b", "a\0b", "", ".", "..")
        ),
        ("benchmark.json", ["environment", "gpu"], [], "environment.gpu is a list, expected text, a number, true or"),
        ("exports.json", ["files", 0, "file"], "a\nb", r"files[0].file is 'a\nb', expected a file's name"),
        ("exports.json", ["files", 0, "accuracy"], "x", "files[0].accuracy is 'x', expected a number from 0 to 1"),
        ("robustness.json", ["kinds", 0, "accuracy"], [0.5], "kinds[0].accuracy: list should have at least 5 items"),
        ("robustness.json", ["slices", "failing", 0, "traits"], ["\n"], "slices.failing[0].traits[0] is '\\n'"),
        ("robustness.json", ["clean", "ece"], 7, "clean.ece is 7, expected a number from 0 to 1"),
        ("benchmark.json", ["rows"], {}, "rows is an object, expected a list"),
        ("benchmark.json", ["rows"], [], "rows: list should have at least 1 item"),
        ("benchmark.json", ["rows", 0, "latency_median_ms"], None, "rows[0].latency_median_ms is None, expected a"),
    ],
)
def test_each_kind_of_fault_is_told(name, path, new, expected, tmp_path):
    (told,) = problems(tmp_path, name, changed(FILES[name], path, new))
    assert told.startswith(expected)


@pytest.mark.parametrize("file", ["model.tflite", ".hidden", "..x", "...", "ä b"])
def test_what_is_a_files_name(file, tmp_path):
    assert problems(tmp_path, "exports.json", changed(FILES["exports.json"], ["files", 0, "file"], file)) == []


def test_at_most_five_problems_a_file_are_told(tmp_path):
    found = problems(tmp_path, "metrics.json", {})
    assert len(found) == 5 and "accuracy is missing" in found


def test_a_million_wrong_values_cost_no_more_than_one(tmp_path):
    """Each would be an object in memory."""
    many = {f"{number:x}": {} for number in range(200_000)}
    assert problems(tmp_path, "config.json", FILES["config.json"] | {"model": many}) == [
        "model.0 is an object, expected text, a number, true or false, or numbers"
    ]
    names = FILES["config.json"]["dataset"] | {"class_names": [1] * 900_000}
    assert problems(tmp_path, "config.json", FILES["config.json"] | {"dataset": names}) == [
        "dataset.class_names[0] is 1, expected text without control characters"
    ]


def test_the_check_is_loaded_only_once_it_is_asked_for():
    code = "import sys; from fmnist.cli import options; assert not {'pydantic', 'filelock'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
