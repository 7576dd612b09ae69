"""Scores, worked by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from fmnist.errors import InputError
from fmnist.evaluation import metrics
from fmnist.evaluation.evaluate import check_dataset, scores

PROBABILITIES = np.array([[0.5, 0.5, 0.0], [0.1, 0.8, 0.1], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]], np.float32)
LABELS = np.array([0, 1, 2, 2], np.uint8)


def test_cross_entropy_by_hand():
    expected = -(math.log(0.5) + math.log(0.8) + math.log(0.25) + 0) / 4
    assert metrics.cross_entropy(PROBABILITIES, LABELS) == pytest.approx(expected, rel=1e-6)


def test_a_certain_mistake_costs_a_finite_amount():
    assert metrics.cross_entropy(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(1e-7))


def test_accuracy_by_hand():
    assert metrics.accuracy(PROBABILITIES, LABELS) == 0.75


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # E. B. Wilson's interval with z = 1.959964, worked with the closed formula.
    [(9123, 10_000, 0.906597, 0.917687), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (1, 2, 0.094531, 0.905469)],
)
def test_wilson_interval(correct, total, low, high):
    assert metrics.wilson_interval(correct, total) == pytest.approx((low, high), abs=2e-6)


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_nonsense(correct, total):
    with pytest.raises(ValueError, match="expected 0 <= correct <= total"):
        metrics.wilson_interval(correct, total)


def test_confusion_and_class_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 6, 500), rng.integers(0, 5, 500)  # class 5 is never predicted
    confusion = metrics.confusion_matrix(labels, predictions, 6)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(labels, predictions))
    expected = sklearn_metrics.precision_recall_fscore_support(labels, predictions, zero_division=0)
    rows = metrics.per_class(confusion)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([row[name] for row in rows], column)


def test_data_of_other_classes_is_refused_and_no_ellipsis_stands_where_all_are_named(tiny_dataset):
    config = {"dataset": {"class_names": ["mug", "plate", "spoon"], "image_shape": [28, 28]}}
    with pytest.raises(InputError, match=r"on 3 classes \(mug, plate, spoon\) of .* has 10 \(0, 1, 2 and 7 more\)"):
        check_dataset(config, tiny_dataset)


def test_a_class_without_images_is_left_out_of_the_means():
    """Labels from 1 on leave the class 0 empty: its zeros would lower every mean."""
    probabilities, labels = np.eye(3)[[1, 1, 2, 1]] * 0.97 + 0.01, np.array([1, 1, 2, 2])
    found = scores(probabilities, labels, ("0", "1", "2"))
    expected = sklearn_metrics.f1_score(labels, probabilities.argmax(axis=1), average="macro")
    assert found["macro"]["f1"] == pytest.approx(expected) and found["per_class"][0]["support"] == 0
