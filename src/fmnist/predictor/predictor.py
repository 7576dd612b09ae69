"""A model that is ready to answer, and the check that it keeps to the contract. Doesn't know which runtime computes."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import numpy as np

from fmnist.data.preparation import Preparation
from fmnist.data.shape import Shape, fitting, full
from fmnist.errors import InputError, RunError, first_line, listed
from fmnist.evaluation.novelty import THRESHOLD, Novelty
from fmnist.images.cutout import CutOut
from fmnist.images.reading import find_pictures, read_and_examine
from fmnist.predictor.prediction import Prediction
from fmnist.predictor.readers import Readers
from fmnist.text import plain, plural, some

UNTOLD = "This model cannot tell whether a picture is unlike those that it was trained on."
"""What is said of a model without novelty: of a run with fewer than 50 validation images, or a file from elsewhere."""
Compute = Callable[[np.ndarray], np.ndarray]
METADATA_KEY = "fmnist"
"""The name under which an exported file carries its facts, as the UTF-8 text of one JSON object."""
_TOGETHER = 512  # photos that wait to be answered together
Pictures = str | os.PathLike[str] | np.ndarray | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model, its names and its limits.

    Attributes:
        compute: takes one batch, uint8 (B, H, W, C), and returns its probabilities, float32 (B, classes).
        format: `litert`, `onnx` or `keras`.
        class_names: a name for each column of the probabilities.
        image_shape: height and width of the pictures, in pixels, and their channels: 1 for grey, 3 for colour.
        metadata: the facts that the file carries, as its exporter wrote them; empty where there are none.
        batch_size: pictures that are computed at a time.
        fixed_batch: whether the model takes batches of exactly that size only.
        novelty: what its training pictures looked like; None where the file does not tell.
        preparation: how pictures became its training pictures; None where the file does not tell.
    """

    compute: Compute
    format: str
    class_names: tuple[str, ...]
    image_shape: Shape
    metadata: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 32
    fixed_batch: bool = False
    novelty: Novelty | None = None
    preparation: Preparation | None = None

    @property
    def threshold(self) -> float | None:
        """The unfamiliarity above which a picture is called unfamiliar; None where the model cannot tell."""
        return None if self.novelty is None else THRESHOLD

    def unfamiliarity(self, images: np.ndarray) -> np.ndarray:
        """Return how unlike the training pictures each picture is: 0 is typical, above `threshold` unfamiliar.

        It is worked out from the pictures alone, not from the model's answer: float32 (N,) of uint8 (N, H, W, C). 2% of
        the run's validation pictures lie above the threshold.

        Raises:
            InputError: the pictures have another type or size, or the model cannot tell (`threshold` is None).
        """
        images = self._fitting(images)
        if self.novelty is None:
            hint = "`fmnist export` writes files that do, for runs with validation images"
            raise InputError(f"the model does not say what its training pictures looked like; {hint}")
        return self.novelty.unfamiliarity(images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of each class for each picture.

        Args:
            images: uint8 (N, H, W, C), 0 to 255, of the model's shape; N may be 0, and C may be left out for grey.

        Returns:
            float32 (N, classes), 0 to 1; a row's sum is 1.

        Raises:
            InputError: the pictures have another type or size.
            RunError: the model gave something else than probabilities.
        """
        images = self._fitting(images)
        result = np.empty((len(images), len(self.class_names)), np.float32)
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            count = len(batch)
            if self.fixed_batch:
                batch = np.pad(batch, ((0, self.batch_size - count), (0, 0), (0, 0), (0, 0)))
            result[start : start + count] = self.compute(np.ascontiguousarray(batch))[:count]
        if not np.isfinite(result).all():
            count = int((~np.isfinite(result)).any(axis=1).sum())
            raise RunError(f"the model gave probabilities that are no numbers, for {count} of the pictures")
        return result

    def predict(self, pictures: Pictures) -> Prediction | list[Prediction]:
        """Say what the model sees in pictures.

        Args:
            pictures: a file, or an array, uint8 (H, W, C) or (N, H, W, C), of the model's shape, where a C of 1 may be
                left out; or a folder, a pattern such as `photos/*.jpg`, or several of these names. A photo is made like
                the training pictures; arrays, and pictures of the model's own size, are taken as they are.

        Returns:
            A `Prediction` for one picture, a list of them for whatever may stand for more: in the order of the names,
            those of a folder sorted.

        Raises:
            InputError: something cannot be read; all such files are named.
        """
        if isinstance(pictures, np.ndarray):
            images = self._fitting(pictures)
            if pictures.shape in (self.image_shape, self.image_shape[:2]):
                return self._answers(images, [(None, None, None)])[0]
            return self._answers(images, [(None, index, None) for index in range(len(images))])
        one = os.fspath(pictures) if isinstance(pictures, str | os.PathLike) else None
        names = [os.fspath(name) for name in pictures] if one is None else [one]  # type: ignore[union-attr]
        found, unreadable = self.read_and_predict(names)
        if unreadable:
            raise InputError(listed("these cannot be read", list(unreadable.values())))
        return found[0] if one and (found[0].image, found[0].index) == (one, None) else found

    def read_and_predict(
        self,
        names: Iterable[str],
        *,
        stdin: IO[bytes] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        readers: Readers | None = None,
    ) -> tuple[list[Prediction], dict[str, str]]:
        """Return a prediction for each picture that names stand for, and for each name that cannot be read the reason.

        Args:
            names: files, folders and patterns, or `-` for what comes on `stdin`.
            stdin: where `-` is read from.
            progress: is told how many files are read, of how many.
            readers: read the picture files, and are closed at the end; for who has started them already.
        """
        unreadable: dict[str, str] = {}
        files: list[str] = []
        for name in names:
            try:
                files += find_pictures(name)
            except InputError as error:
                unreadable[name] = str(error)
        found: list[Prediction] = []
        waiting: list[tuple[str, int | None, CutOut | None]] = []
        pictures: list[np.ndarray] = []
        with readers or Readers() as opened:
            read = partial(opened.read, image_shape=self.image_shape, how=self.preparation)
            for number, name in enumerate(files, 1):
                try:
                    images, cut_out = read_and_examine(name, self.image_shape, stdin, read)
                    waiting += [(name, None if cut_out else index, cut_out) for index in range(len(images))]
                    pictures.append(images)
                except InputError as error:
                    unreadable[name] = str(error)
                if len(waiting) >= _TOGETHER or (waiting and number == len(files)):
                    found += self._answers(np.concatenate(pictures), waiting)
                    waiting, pictures = [], []
                progress(number, len(files))
        return found, unreadable

    def _answers(
        self, images: np.ndarray, sources: Iterable[tuple[str | None, int | None, CutOut | None]]
    ) -> list[Prediction]:
        """Return the prediction of each picture, of which the file's name, the place in it and the facts are given."""
        probabilities = self.probabilities(images)
        strange = [None] * len(images) if self.novelty is None else self.unfamiliarity(images).tolist()
        rows = zip(probabilities, images, sources, strange, strict=True)
        return [
            Prediction(self.class_names, row, image, name, index, value, cut_out)
            for row, image, (name, index, cut_out), value in rows
        ]

    def _fitting(self, images: np.ndarray) -> np.ndarray:
        return fitting(images, self.image_shape, "the array")


def checked(
    compute: Compute, shape: list[Any], metadata: dict[str, Any], name: str, *, format: str, batch_size: int
) -> Predictor:
    """Return the predictor of a model after asking it for a few pictures, or refuse it by `name`.

    The model must take uint8 (N, H, W, C), C 1 or 3, and give probabilities, float32 (N, classes). `shape` is that of
    its input, batch first; what is no positive number there is free. `batch_size` is for models that leave the batch
    free.
    """
    contract = (
        "expected uint8 pictures (N, H, W, 1 or 3) in and probabilities (N, classes) out, as `fmnist export` writes"
    )
    if len(shape) != 4 or shape[3] not in (1, 3) or not all(isinstance(side, int) and side > 0 for side in shape[1:3]):
        raise InputError(f"{name}: takes input of shape {tuple(shape)}; {contract}")
    fixed = isinstance(shape[0], int) and shape[0] > 0
    count = shape[0] if fixed else 1
    if count * math.prod(shape[1:]) > 2**28:
        raise InputError(f"{name}: takes input of shape {tuple(shape)}, more than 256 MiB; {contract}")
    for batch in _tried((count, *shape[1:])):
        try:
            answer = compute(batch)
        except Exception as error:  # each runtime has its own
            raise InputError(f"{name}: cannot be computed ({first_line(error)}); {contract}") from error
        if answer.ndim != 2 or len(answer) != count or answer.shape[1] < 2:
            found = f"an output of shape {answer.shape} for {plural(count, 'picture')}"
            raise InputError(f"{name}: gives {found}; {contract}")
        # A quantized output is off by half a step of 1/256 a class.
        tolerance = 0.01 + answer.shape[1] / 512
        if not (np.isfinite(answer).all() and answer.min() >= 0 and abs(answer[0].sum() - 1) <= tolerance):
            found = some([f"{value:.3f}" for value in answer[0]], 4)
            raise InputError(f"{name}: gives {found}, no probabilities; {contract}")
    names = tuple(metadata.get("class_names") or map(str, range(answer.shape[1])))
    if len(names) != answer.shape[1] or not all(isinstance(text, str) and plain(text) == text for text in names):
        problem = f"has {len(names)} class names for {answer.shape[1]} classes, or names that cannot be shown"
        raise InputError(f"{name}: {problem}; export it again")
    known, told = metadata.get("familiarity"), metadata.get("preparation")
    try:
        novelty = None if known is None else Novelty.from_dict(known)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    how = None if told is None else Preparation.from_dict(told, name)
    size = count if fixed else batch_size
    return Predictor(compute, format, names, full(shape[1:]), metadata, size, fixed, novelty, how)


def _tried(form: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield dark, bright and random pictures: a model may compute longer, or break, where pixels are large."""
    yield np.zeros(form, np.uint8)
    yield np.full(form, 255, np.uint8)
    yield np.random.default_rng(0).integers(0, 256, form, np.uint8)


def parse_metadata(text: str | bytes | None, name: str) -> dict[str, Any]:
    """Return the facts of a file from the text under `METADATA_KEY`; empty where there is no text."""
    if text is None:
        return {}
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: its metadata '{METADATA_KEY}' is no JSON: {first_line(error)}") from error
    if not isinstance(facts, dict):
        raise InputError(f"{name}: its metadata '{METADATA_KEY}' is no JSON object")
    return facts
