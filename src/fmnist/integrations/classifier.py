"""`Classifier`: a network as a scikit-learn estimator, for `cross_val_score`, `GridSearchCV` and pipelines."""

from __future__ import annotations

import functools
import inspect
import math
import tempfile
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from fmnist import backend, pipeline
from fmnist.audit.folds import suited
from fmnist.config import Config, leaf_fields, preset
from fmnist.data import shape
from fmnist.data.dataset import Dataset
from fmnist.errors import InputError, RunError, did_you_mean
from fmnist.evaluation.evaluate import load_model
from fmnist.run.directory import RunDirectory
from fmnist.run.history import read_history
from fmnist.text import plain, plural

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_non_negative, validate_data
except ImportError as error:
    raise RunError(
        "fmnist.Classifier needs scikit-learn 1.6 or later; install it with: pip install 'fmnist[sklearn]'"
    ) from error

# scikit-learn calls the seed `random_state`, and chooses itself which images are learnt from.
_NOT_OFFERED = {"seed", "folds", "fold", "limit", "decisions"}
SETTINGS = tuple(name for name in leaf_fields() if name not in _NOT_OFFERED)
_DEFAULTS: dict[str, Any] = {"preset": "fast", "random_state": 0} | dict.fromkeys(SETTINGS)
MAX_CLASSES = 256


class Classifier(ClassifierMixin, BaseEstimator):
    """A classifier of images, trained as `fmnist train` does it, in the form of scikit-learn's estimators.

    `fmnist.Classifier(preset="fast", epochs=2, dropout=0.1)`: every setting of a run is a parameter, by the name that
    `fmnist.preset` has for it, so that a grid search can vary it; one that is None has the preset's value. All images
    are learnt from, unless `early_stopping` or `validation_fraction` keeps some apart. Without `epochs` or
    `time_budget` few images are gone through more often than the preset says, in 300 steps at least.

    Images are pixels from 0 to 255, whole numbers of any type: (N, H, W), (N, H, W, C) with C 1 or 3, or square grey
    ones flattened, (N, H × W), as an array, a list or a table. Images of one classifier have one size.

    Args:
        preset: a name that `fmnist.preset` knows.
        random_state: the `seed`, so that the same number gives the same weights; or what else scikit-learn knows under
            this name. None: another one at each fit.
        parameters: settings, but for `seed`, `folds`, `fold`, `limit` and `decisions`.

    Attributes:
        classes_: the labels, sorted (classes,).
        n_features_in_: H × W × C.
        image_shape_: (H, W, C).
        history_: what was measured after each epoch, as `fmnist.read_history` returns it.
        model_: the bytes of `model.keras`, which `fmnist.open_model` takes as a file.

    Raises:
        InputError: a parameter is unknown.
    """

    def __init__(self, **parameters: Any) -> None:
        if unknown := [name for name in parameters if name not in _DEFAULTS]:
            hint = did_you_mean(unknown[0], list(_DEFAULTS))
            raise InputError(f"no parameter of Classifier is named '{unknown[0]}'{hint}")
        self.__dict__.update(_DEFAULTS | parameters)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Train a new network.

        Args:
            X: images, as the class takes them.
            y: labels (N,), such as whole numbers or texts, of 2 to 256 classes.
            sample_weight: float (N,), how much each image counts in the loss, 0 or more; their mean is made 1. Images
                of weight 0 are left out. None: all the same.

        Raises:
            InputError: images, labels or settings cannot be used, or don't fit together.
            RunError: the loss is not finite.
        """
        images, y = self._read(X, y=y)
        check_classification_targets(y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, images, dtype=np.float32, ensure_non_negative=True)
            images, y, weights = (each[weights > 0] for each in (images, y, weights))
        self.classes_, codes = np.unique(y, return_inverse=True)
        if not 2 <= len(self.classes_) <= MAX_CLASSES:
            told = f"{plural(len(self.classes_), 'class', 'classes')} among {plural(len(y), 'label')}"
            raise InputError(f"y: got {told}, expected 2 to {MAX_CLASSES} classes")
        labels, names = codes.astype(np.uint8), tuple(plain(str(label)) for label in self.classes_)
        # A data set has a test part; nothing looks at it here.
        dataset = Dataset(images, labels, images[:1], labels[:1], names, "arrays", train_weights=weights)
        backend.expect_many_models()
        with tempfile.TemporaryDirectory(prefix="fmnist-") as folder:
            run = pipeline.train(self._config(len(images)), dataset, Path(folder) / "run", train_only=True)
            self.history_, self.model_ = read_history(run.history), run.model.read_bytes()
        self.image_shape_ = dataset.image_shape
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, float32 (N, classes), in the order of `classes_`.

        Raises:
            InputError: the images are not of the size that was learnt.
            sklearn.exceptions.NotFittedError: nothing was learnt yet.
        """
        check_is_fitted(self)
        images = self._read(X)
        return _network(self.model_)(shape.fitting(images, self.image_shape_, "X"))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each image, (N,); errors are those of `predict_proba`."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def _config(self, num_images: int) -> Config:
        """Return the settings of the run that learns from so many images."""
        given = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        # A search draws numbers as NumPy's.
        given = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        seed = self.random_state
        if not isinstance(seed, Integral):
            # NumPy's global generator is no source of seeds here: each training sets it.
            seed = (np.random.RandomState() if seed is None else check_random_state(seed)).randint(2**31 - 1)
        return suited(preset(self.preset, seed=int(seed), **given), num_images).with_overrides(**given)

    def _read(self, X: Any, **y: Any) -> Any:
        """Return images as uint8 (N, H, W, C); with `y`, of which the classifier learns their form, labels as well."""
        X = X if hasattr(X, "shape") else np.asarray(X)
        own = shape.full(X.shape[1:]) if len(X.shape) in (3, 4) else None
        flat = X if own is None else np.reshape(X, (len(X), -1))
        values = validate_data(self, flat, **y, reset=bool(y))
        values, *labels = values if y else (values,)
        pixels = self._pixels(values)
        if not own:
            own = _square(pixels.shape[1]) if y else self.image_shape_
        images = pixels.reshape(-1, *own)
        return (images, *labels) if y else images

    def _pixels(self, values: np.ndarray) -> np.ndarray:
        """Return numbers as uint8, or raise an `InputError` for what is no pixel."""
        check_non_negative(values, "X")
        with np.errstate(invalid="ignore"):
            pixels = values.astype(np.uint8, copy=False)
        if not np.array_equal(pixels, values):
            raise InputError(
                f"X: got numbers from {values.min():g} to {values.max():g}, expected pixels, whole numbers from 0 to "
                "255; of numbers from 0 to 1 `numpy.rint(255 * X)` makes them"
            )
        return pixels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.positive_only = True
        return tags


# From the signature scikit-learn learns the names of the parameters.
Classifier.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
        *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[name]) for name in _DEFAULTS),
    ]
)


def _square(count: int) -> shape.Shape:
    """Return the shape of flattened grey images, or raise an `InputError` where they are not square."""
    side = math.isqrt(count)
    if side * side != count:
        raise InputError(
            f"X: got {count} numbers an image, which is no square; expected images (N, H, W) or (N, H, W, C), or "
            "flattened ones of equal height and width"
        )
    return side, side, 1


@functools.lru_cache(maxsize=8)
def _network(model: bytes) -> backend.Predictor:
    """Return a trained network, ready to answer, from the bytes of its file."""
    with tempfile.TemporaryDirectory(prefix="fmnist-") as folder:
        run = RunDirectory(folder)
        run.model.write_bytes(model)
        return load_model(run)
