"""Calibration: the error worked by hand, temperatures found again, and what a run's files say of it."""

import json

import numpy as np
import pytest

from fmnist.evaluation import calibration, evaluate
from fmnist.evaluation.calibration import (
    at_temperature,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from fmnist.run.directory import RunDirectory, read_json


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def drawn(count, temperature, seed=0):
    """Probabilities that are right if divided by a temperature, and labels drawn accordingly."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 5))
    labels = (rng.random((count, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return softmax(temperature * logits).astype(np.float32), labels


class TestError:
    # Confidences 0.8 and 0.79 share the bin from 11/15 to 12/15 (0.733 to 0.8), 0.6 is the end of the ninth.
    PROBABILITIES = np.array([[0.8, 0.2], [0.21, 0.79], [0.6, 0.4], [0.4, 0.6], [1.0, 0.0]])
    LABELS = np.array([0, 0, 0, 1, 0])

    def test_bins_by_hand(self):
        bins = reliability(self.PROBABILITIES, self.LABELS)
        assert bins["count"].tolist() == [0] * 8 + [2, 0, 0, 2, 0, 0, 1]
        assert bins["confidence"][[8, 11, 14]] == pytest.approx([0.6, 0.795, 1.0])
        assert bins["accuracy"][[8, 11, 14]] == pytest.approx([1.0, 0.5, 1.0])
        assert np.isnan(bins["accuracy"][0])

    def test_error_by_hand(self):
        expected = (2 * 0.4 + 2 * 0.295 + 0) / 5
        assert expected_calibration_error(self.PROBABILITIES, self.LABELS) == pytest.approx(expected)

    def test_the_chance_level_that_the_docstring_names(self):
        """A model that is as right as it is sure of itself still shows some error."""
        rng = np.random.default_rng(0)
        confidence = np.concatenate([rng.uniform(0.4, 0.95, 1250), np.full(3750, 0.985)])
        sure = np.stack([confidence, 1 - confidence], axis=1)
        found = [expected_calibration_error(sure, (rng.random(5000) > confidence).astype(int)) for _ in range(20)]
        assert 0.005 < np.mean(found) < 0.011


class TestTemperature:
    @pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
    def test_it_is_found_again(self, temperature):
        probabilities, labels = drawn(20_000, temperature)
        assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.03)

    def test_it_has_the_smallest_loss(self):
        probabilities, labels = drawn(2000, 1.7)
        best = fit_temperature(probabilities, labels)

        def loss(temperature):
            return calibration.scores(at_temperature(probabilities, temperature), labels)["loss"]

        assert loss(best) < min(loss(0.97 * best), loss(1.03 * best))

    def test_no_mistake_on_few_images_is_no_certainty(self):
        probabilities = np.full((30, 10), 0.02)
        probabilities[:, 0] = 0.82
        adjusted = at_temperature(probabilities, fit_temperature(probabilities, np.zeros(30, int)))
        assert 0.9 < adjusted[0, 0] < 0.999

    def test_temperatures_undo_each_other_and_keep_the_order(self):
        probabilities, _ = drawn(100, 1.0)
        hot = at_temperature(probabilities, 3.0)
        assert hot.dtype == np.float32 and hot.sum(axis=1) == pytest.approx(1, abs=1e-6)
        assert (hot.argsort(axis=1) == probabilities.argsort(axis=1)).all()
        np.testing.assert_allclose(at_temperature(hot, 1 / 3), probabilities, atol=1e-6)

    def test_a_probability_of_nothing(self):
        assert np.isfinite(at_temperature(np.array([[1.0, 0.0]]), 2.0)).all()


def test_what_is_reported_is_measured_on_other_images():
    """Each half has the temperature of the other: where the halves differ, the report must show it."""
    probabilities, labels = drawn(4000, 2.0)
    found = calibrate(probabilities, labels)
    assert found["before"] == calibration.scores(probabilities, labels) and found["num_images"] == 4000
    assert found["after"]["ece"] < 0.4 * found["before"]["ece"]
    assert found["temperature"] == fit_temperature(probabilities, labels)
    fitted = calibration.scores(at_temperature(probabilities, found["temperature"]), labels)
    assert found["after"]["loss"] > fitted["loss"]  # that one has seen its images


class TestRun:
    def test_the_pipeline_leaves_a_calibration(self, tiny_run, tiny_dataset):
        found, metrics = read_json(tiny_run.calibration), read_json(tiny_run.metrics)
        assert found["num_images"] == 120 and 0.1 <= found["temperature"] <= 10
        assert metrics["calibrated"]["temperature"] == found["temperature"]
        with np.load(tiny_run.predictions) as arrays:
            raw = arrays["probabilities"]
        assert metrics["ece"] == expected_calibration_error(raw, tiny_dataset.test_labels)
        adjusted = at_temperature(raw, found["temperature"])
        assert metrics["calibrated"]["ece"] == expected_calibration_error(adjusted, tiny_dataset.test_labels)

    def test_it_is_fitted_on_the_validation_images(self, tiny_run, tiny_dataset, tmp_path):
        from fmnist.data.split import split_indices

        run = RunDirectory(tmp_path)
        run.config.write_bytes(tiny_run.config.read_bytes())
        seen = []

        def predict(images):
            seen.append(images)
            return np.full((len(images), 10), 0.1, np.float32)

        assert evaluate.calibrate(run, tiny_dataset, predict)
        _, validation = split_indices(tiny_dataset.train_labels, 0.2, 0)
        np.testing.assert_array_equal(seen[0], tiny_dataset.train_images[validation])

    @pytest.mark.parametrize("change", ["data", "split"])
    def test_runs_that_cannot_be_calibrated(self, change, tiny_run, tiny_dataset, tmp_path, run_cli, tiny_data_dir):
        run = RunDirectory(tmp_path / "run")
        run.path.mkdir()
        config, environment = read_json(tiny_run.config), read_json(tiny_run.environment)
        if change == "data":
            environment["data_sha256"] = {"train-images-idx3-ubyte": "other"}
        else:
            config["data"]["validation_fraction"] = 0.0
        run.config.write_text(json.dumps(config))
        run.environment.write_text(json.dumps(environment))
        run.model.write_bytes(tiny_run.model.read_bytes())
        assert not evaluate.calibrate(run, tiny_dataset)
        code, out, _ = run_cli("evaluate", run.path, "--data-dir", tiny_data_dir)
        assert code == 0 and "not calibrated: too few validation images" in out
        assert not run.calibration.exists() and not run.familiarity.exists()
        assert read_json(run.metrics)["calibrated"] is None

    def test_evaluate_says_both(self, tiny_run, run_cli, tiny_data_dir):
        before = tiny_run.calibration.read_bytes()
        code, out, _ = run_cli("evaluate", tiny_run.path, "--data-dir", tiny_data_dir)
        assert code == 0 and tiny_run.calibration.read_bytes() == before
        temperature = read_json(tiny_run.calibration)["temperature"]
        assert f"off the accuracy (ECE); calibrated with temperature {temperature:.3f}: " in out

    def test_a_run_answers_calibrated_its_file_raw(self, tiny_run, tiny_dataset):
        from fmnist.predictor.opening import open_model

        images = tiny_dataset.test_images
        raw, run = open_model(tiny_run.model).probabilities(images), open_model(tiny_run).probabilities(images)
        np.testing.assert_allclose(run, at_temperature(raw, read_json(tiny_run.calibration)["temperature"]), atol=1e-6)
        assert np.abs(run - raw).max() > 1e-4
