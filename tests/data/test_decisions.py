"""Files of decisions: what they say of training images, what is refused, and that a run obeys and keeps them."""

import csv

import numpy as np
import pytest
from support.small_data import StopAfter, pattern_images

import fmnist
from fmnist import pipeline
from fmnist.data.decisions import Decisions, digest, of_run, read_decisions
from fmnist.errors import InputError
from fmnist.run.directory import read_json, sha256
from fmnist.training.phase import split
from fmnist.training.progress import Interrupted

NAMES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def dataset():
    (images, labels), (tests, truth) = pattern_images(200, seed=5), pattern_images(40, seed=6)
    return fmnist.Dataset(images, labels, tests, truth, NAMES, "drawn", {"a": "1"})


@pytest.fixture
def write(tmp_path, dataset):
    """Write rows, given as (index, decision, label) or as dictionaries, as an audit does."""

    def write(*rows, name="decisions.csv"):
        columns = ("part", "index", "given", "sha256", "decision", "label")
        with open(tmp_path / name, "w", newline="") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            for row in rows:
                if isinstance(row, tuple):
                    index, decision, label = row
                    given, image = NAMES[dataset.train_labels[index]], digest(dataset.train_images[index])
                    row = dict(zip(columns, ("train", index, given, image, decision, label), strict=True))
                table.writerow(row)
        return tmp_path / name

    return write


def test_rows_that_decide_are_obeyed(dataset, write):
    found = read_decisions(write((3, "drop", ""), (5, "Relabel", "b"), (7, "keep", ""), (9, "", "")), dataset)
    assert found.labels == {3: None, 5: 1}
    assert found.facts["dropped"] == 1 and found.facts["relabelled"] == 1
    indices, labels = found.obey(np.array([2, 3, 5, 9]), dataset.train_labels)
    assert indices.tolist() == [2, 5, 9] and labels.dtype == np.uint8
    assert labels.tolist() == [dataset.train_labels[2], 1, dataset.train_labels[9]]


def test_nothing_decided_changes_nothing(dataset, write):
    indices = np.arange(200)
    for found in (Decisions(), read_decisions(None, dataset), read_decisions(write((1, "keep", "")), dataset)):
        left, labels = found.obey(indices, dataset.train_labels)
        np.testing.assert_array_equal(left, indices)
        np.testing.assert_array_equal(labels, dataset.train_labels)


def test_the_content_is_what_was_decided_whatever_else_the_file_has(dataset, write, tmp_path):
    one = read_decisions(write((3, "drop", ""), (7, "keep", ""), (5, "relabel", "b")), dataset)
    other = read_decisions(write((3, "drop", ""), (5, "relabel", "b"), name="other.csv"), dataset)
    assert one.content == other.content
    (tmp_path / "again.csv").write_bytes(one.content)
    assert read_decisions(tmp_path / "again.csv", dataset).content == one.content


def test_an_index_and_a_decision_are_enough(dataset, tmp_path):
    (tmp_path / "short.csv").write_text("decision,index\ndrop,4\n")
    assert read_decisions(tmp_path / "short.csv", dataset).labels == {4: None}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"part": "train", "index": "200", "decision": "drop"}, "line 2: index is '200', expected 0 to 199"),
        ({"part": "train", "index": "-1", "decision": "drop"}, "index is '-1'"),
        ({"part": "test", "index": "1", "decision": "drop"}, "part is 'test'; only training images"),
        ({"part": "train", "index": "1", "decision": "delete"}, "expected one of keep, relabel, drop"),
        ({"part": "train", "index": "1", "decision": "relabel", "label": "k"}, "expected the name of a class"),
        ({"part": "train", "index": "1", "decision": "relabel", "label": ""}, "expected the name of a class"),
        ({"part": "train", "index": "1", "decision": "drop", "sha256": "0" * 16}, "is another picture now"),
        ({"part": "train", "index": "1", "decision": "drop", "given": "z"}, "its label was changed since"),
    ],
)
def test_a_row_about_something_else_is_refused(dataset, write, row, complaint):
    with pytest.raises(InputError, match=complaint):
        read_decisions(write(row), dataset)


def test_two_decisions_about_an_image_are_refused_and_many_problems_are_counted(dataset, write):
    with pytest.raises(InputError, match="line 3: decides otherwise about image 3 than line 2"):
        read_decisions(write((3, "drop", ""), (3, "keep", "")), dataset)
    with pytest.raises(InputError, match="and 2 more"):
        read_decisions(write(*[{"index": "x", "decision": "drop"}] * 7), dataset)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b'index,decision\n"1,drop\n'])
def test_what_is_no_such_table_is_refused(dataset, tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(InputError, match="has no column|cannot read the decisions"):
        read_decisions(tmp_path / "bad.csv", dataset)
    with pytest.raises(InputError, match="cannot read the decisions"):
        read_decisions(tmp_path / "none.csv", dataset)


def test_only_images_to_learn_from_change(dataset, write):
    config = fmnist.preset("fast", validation_fraction=0.25)
    plain = split(config, dataset)
    rows = [(index, "drop", "") for index in range(0, 60)] + [(index, "relabel", "a") for index in range(60, 200)]
    found = split(config, dataset, read_decisions(write(*rows), dataset))
    np.testing.assert_array_equal(found.val, plain.val)
    np.testing.assert_array_equal(found.val_labels, plain.val_labels)
    assert 80 < len(found.train) < 150 and (found.train_labels == 0).all()


def test_a_run_keeps_its_decisions_and_goes_on_with_no_others(dataset, write, tmp_path):
    path = write((3, "drop", ""), (4, "drop", ""), (5, "relabel", "b"))
    config = fmnist.preset("fast", decisions=str(path), batch_size=16, segment_steps=2, filters=(4, 8))
    run = fmnist.RunDirectory(tmp_path / "run")
    with pytest.raises(Interrupted):
        pipeline.train(config, dataset, run, should_stop=StopAfter(2))
    facts = read_json(run.config)
    assert facts["decisions"]["sha256"] == sha256(run.decisions)
    learnt = split(config, dataset, read_decisions(path, dataset)).train
    assert facts["dataset"]["num_train"] == len(learnt) < round(200 * 11 / 12)
    kept = run.decisions.read_bytes()
    path.unlink()  # the run has its own
    run.decisions.write_bytes(kept.replace(b",3,", b",6,"))
    with pytest.raises(InputError, match="was changed since the run was started"):
        pipeline.resume(run, dataset, train_only=True)
    run.decisions.write_bytes(kept)
    assert pipeline.resume(run, dataset, train_only=True).state() == "finished"
    run.decisions.unlink()  # evaluation describes what was learnt from
    with pytest.raises(InputError, match="has gone or was changed"):
        of_run(run, dataset)


def test_a_file_that_leaves_nothing_is_refused(dataset, write):
    config = fmnist.preset("fast", decisions=str(write(*[(index, "drop", "") for index in range(200)])))
    with pytest.raises(InputError, match="leave 0 training images"):
        pipeline.check(config, dataset)
