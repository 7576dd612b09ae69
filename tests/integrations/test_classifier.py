"""The scikit-learn estimator: what it takes, what it learns, that it can be cloned, pickled, searched and checked."""

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from support.nearest_mean import stand_in
from support.small_data import pattern_images

import fmnist
from fmnist.config import leaf_fields
from fmnist.integrations import classifier as module

SMALL = {"preset": "reference", "filters": (4, 8), "epochs": 12, "learning_rate": 0.01, "batch_size": 32}
DOCUMENT = Path(__file__).parents[2] / "docs" / "sklearn.md"
NAMES = np.array(list("abcdefghij"))

# What `check_estimator` finds that is not as scikit-learn has it, and why. docs/sklearn.md has the same table.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "the images of a batch are drawn: one that counts twice is "
    "one image of a batch, one that is given twice belongs to two",
    "check_methods_sample_order_invariance": "a network computes in float32, and its last bit depends on the place of "
    "an image in the batch: differences up to 6e-8, where 1e-9 is allowed",
}
# Checks in which the network itself takes part; the others are of what is around it.
OF_THE_NETWORK = {
    "check_readonly_memmap_input", "check_f_contiguous_array_estimator", "check_estimators_pickle",
    "check_methods_subset_invariance", "check_fit_idempotent", *EXPECTED,
}  # fmt: skip


class OfNumbers(fmnist.Classifier):
    """Puts numbers of any range and count onto images of 8×8 pixels, a band each, for scikit-learn's own data."""

    def _pixels(self, values):
        bands = np.arange(64) * values.shape[1] // 64
        return np.rint(127.5 + 127.5 * np.tanh(values[:, bands] / 2)).astype(np.uint8)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags


@pytest.fixture(scope="module")
def data():
    images, labels = pattern_images(200, seed=1, size=8)
    return images, NAMES[labels]


@pytest.fixture(scope="module")
def fitted(data):
    return fmnist.Classifier(**SMALL, random_state=np.int64(3), validation_fraction=0.25).fit(*data)


def test_it_learns_labels_of_any_kind_and_says_how(fitted, data):
    images, labels = data
    assert fitted.score(images, labels) > 0.9
    probabilities = fitted.predict_proba(images)
    assert probabilities.dtype == np.float32 and probabilities.shape == (200, 10)
    np.testing.assert_array_equal(fitted.predict(images), NAMES[probabilities.argmax(axis=1)])
    assert fitted.classes_.tolist() == list("abcdefghij") and fitted.image_shape_ == (8, 8, 1)
    assert fitted.n_features_in_ == 64 and [row["epoch"] for row in fitted.history_] == list(range(1, 13))
    assert "val_loss" in fitted.history_[0]


def test_images_come_in_every_form(fitted, data):
    images, _ = data
    expected = fitted.predict_proba(images)
    flat = images.reshape(200, 64)
    for form in (images[..., np.newaxis], images.tolist(), flat, flat.astype(np.float64), flat.astype(np.int64)):
        np.testing.assert_array_equal(fitted.predict_proba(form), expected)


def test_it_is_copied_whole(fitted, data, tmp_path):
    images, _ = data
    expected = fitted.predict_proba(images)
    module._network.cache_clear()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(images), expected)
    (tmp_path / "model.keras").write_bytes(fitted.model_)
    np.testing.assert_array_equal(fmnist.open_model(tmp_path / "model.keras").probabilities(images), expected)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params() and not hasattr(fresh, "model_")
    assert repr(fresh).startswith("Classifier(") and "filters=(4, 8)" in repr(fresh) and "dropout" not in repr(fresh)


def test_its_network_is_that_of_a_run(fitted, data, tmp_path):
    images, labels = data
    codes = np.searchsorted(NAMES, labels).astype(np.uint8)
    dataset = fmnist.Dataset(images, codes, images[:1], codes[:1], tuple(NAMES), "arrays")
    config = fmnist.preset(SMALL["preset"], seed=3, validation_fraction=0.25).with_overrides(
        **{name: value for name, value in SMALL.items() if name != "preset"}
    )
    run = fmnist.train(config, dataset, tmp_path / "run", train_only=True)
    np.testing.assert_array_equal(fitted.predict_proba(images), fmnist.open_model(run).probabilities(images))


@pytest.mark.slow
def test_a_network_learns_more_from_images_that_weigh_more(data):
    images, labels = (part[:100] for part in data)
    others = NAMES[(np.searchsorted(NAMES, labels) + 1) % 10]
    both = np.concatenate([images, images]), np.concatenate([labels, others])
    found = fmnist.Classifier(**SMALL).fit(*both, np.repeat([1.0, 9.0], 100))
    assert found.score(images, others) > 0.8


@pytest.fixture
def without_network(monkeypatch):
    """Let a nearest mean take the network's place, so that what is around it is checked in no time."""
    trained = []
    train, load_model = stand_in(trained)
    monkeypatch.setattr(module.pipeline, "train", train)
    monkeypatch.setattr(module, "load_model", load_model)
    module._network.cache_clear()
    yield trained
    module._network.cache_clear()


def test_weights_of_images_are_passed_on_but_for_those_of_none(without_network, data):
    images, labels = data
    weights = np.tile([0.0, 2.0], 100)
    fmnist.Classifier().fit(images, labels, weights)
    (_, dataset) = without_network[-1]
    np.testing.assert_array_equal(dataset.train_images[..., 0], images[1::2])
    assert dataset.train_weights.tolist() == [2.0] * 100


def test_settings_can_be_searched(without_network, data):
    images, labels = data
    scaled = FunctionTransformer(lambda images: np.rint(255 * images))
    grid = {"classifier__epochs": np.array([1, 2]), "classifier__dropout": [0, 0.3]}
    pipeline = make_pipeline(scaled, fmnist.Classifier(filters=[4, 8]))
    found = GridSearchCV(pipeline, grid, cv=2, refit=False).fit((images / 255).reshape(200, -1), labels)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    tried = {(config.training.epochs, config.model.dropout, config.model.filters) for config, _ in without_network}
    assert tried == {(epochs, dropout, (4, 8)) for epochs in (1, 2) for dropout in (0, 0.3)}
    assert {len(dataset.train_images) for _, dataset in without_network} == {100}


def test_few_images_are_gone_through_more_often(without_network, data):
    for own in ({}, {"epochs": 3}, {"time_budget": 5.0}, {"early_stopping": 2}):
        fmnist.Classifier(**own).fit(*data)
    settings = [(config.training.epochs, config.data.validation_fraction) for config, _ in without_network]
    assert settings == [(150, 0), (3, 0), (1, 0), (150, pytest.approx(1 / 12))]


def test_every_setting_is_a_parameter():
    given = fmnist.Classifier().get_params()
    assert leaf_fields().keys() - given.keys() == {"seed", "folds", "fold", "limit", "decisions"}
    assert given.keys() - leaf_fields().keys() == {"preset", "random_state"}


def test_random_states(without_network, data):
    for state in (7, np.random.RandomState(1), None, None):
        np.random.seed(0)  # as training does
        fmnist.Classifier(random_state=state).fit(*data)
    seeds = [config.training.seed for config, _ in without_network]
    assert seeds[0] == 7 and len(set(seeds)) == 4


def test_what_cannot_be_used_is_told(without_network, data):
    images, labels = data
    learnt = fmnist.Classifier().fit(images, labels)
    for wrong, error, told in (
        (lambda: fmnist.Classifier(epoch=1), fmnist.InputError, "'epoch'; did you mean 'epochs'"),
        (lambda: fmnist.Classifier(epochs=0).fit(images, labels), fmnist.InputError, "epochs: got 0, expected 1 to"),
        (lambda: fmnist.Classifier().fit(images / 255, labels), fmnist.InputError, r"numpy.rint\(255 \* X\)"),
        (lambda: fmnist.Classifier().fit(256 + images.astype(int), labels), fmnist.InputError, "from 0 to 255"),
        (lambda: fmnist.Classifier().fit(images - 300.0, labels), ValueError, "Negative values"),
        (lambda: fmnist.Classifier().fit(np.ones((9, 70)), range(9)), fmnist.InputError, "70 numbers an image"),
        (lambda: fmnist.Classifier().fit(images[:9, :, :, np.newaxis].repeat(2, 3), range(9)), ValueError, "channels"),
        (lambda: fmnist.Classifier().fit(images, labels[:9]), ValueError, r"inconsistent.*\[200, 9\]"),
        (lambda: fmnist.Classifier().fit(images, ["a"] * 200), fmnist.InputError, "1 class among 200 labels, expected"),
        (lambda: fmnist.Classifier().fit(np.ones((600, 4)), [*range(300)] * 2), fmnist.InputError, "300 classes among"),
        (lambda: fmnist.Classifier().predict(images), NotFittedError, "not fitted"),
        (lambda: learnt.predict(images[:, :4]), ValueError, "32 features.*expecting 64"),
        (lambda: learnt.predict(images.reshape(-1, 4, 16)), fmnist.InputError, r"4, 16, 1\); expected uint8 \(N, 8, 8"),
    ):
        with pytest.raises(error, match=told):
            wrong()


def test_the_examples_of_the_document_run(without_network, data, tmp_path, monkeypatch, capsys):
    images, labels = data
    codes = np.searchsorted(NAMES, labels).astype(np.uint8)
    dataset = fmnist.Dataset(images, codes, images, codes, tuple(NAMES), "patterns")
    monkeypatch.setattr("fmnist.images.loading.load_dataset", lambda: dataset)
    monkeypatch.chdir(tmp_path)
    text, names = DOCUMENT.read_text("utf-8").partition("## Tables in pandas")[0], {}
    for example in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(example, names)
    assert len(without_network) == 3 + 13 + 1 and "{'dropout': 0, 'epochs': 1} 1.0" in capsys.readouterr().out
    assert (tmp_path / "garments.keras").read_bytes() == names["classifier"].model_


def test_the_document_has_the_exceptions():
    assert set(re.findall(r"^\| `(check_\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)) == EXPECTED.keys()


def test_scikit_learn_is_named_where_it_is_missing(monkeypatch):
    for name in ("sklearn", "sklearn.base"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "fmnist.integrations.classifier")
    with pytest.raises(fmnist.RunError, match=r"scikit-learn.*pip install 'fmnist\[sklearn\]'"):
        _ = fmnist.Classifier


def check(estimator, **given):
    """Return the checks that fail, each with its exception."""
    failed = {}

    def note(check_name, exception, status, **_):
        if status == "failed":
            failed[check_name] = exception

    check_estimator(estimator, on_fail=None, on_skip=None, callback=note, **given)
    return failed


def test_what_is_around_the_network_passes_every_check_of_scikit_learn(without_network):
    assert check(OfNumbers()) == {}
    assert len(without_network) > 50


def test_images_alone_fail_no_check_but_for_data_that_are_no_images():
    failed = check(fmnist.Classifier())
    assert len(failed) < 45
    for error in failed.values():
        causes = [str(one) for one in (error, error.__cause__, error.__context__) if one]
        assert any("expected pixels" in text or "is no square" in text for text in causes), (error, causes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_network_passes_the_checks_that_concern_it_but_for_the_exceptions():
    failed, done = set(), set()
    for estimator, one in estimator_checks_generator(OfNumbers(**SMALL | {"epochs": 3}), legacy=True):
        name = getattr(one, "func", one).__name__
        if name in OF_THE_NETWORK:
            done.add(name)
            try:
                one(estimator)
            except AssertionError:
                failed.add(name)
    assert (done, failed) == (OF_THE_NETWORK, EXPECTED.keys())
