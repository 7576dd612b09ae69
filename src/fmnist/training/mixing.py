"""Mixes two images into one, and their labels: mixup and CutMix, vectorised over an epoch."""

from dataclasses import dataclass

import numpy as np

# Images mixed at once: what is computed in floats stays small.
CHUNK = 512


@dataclass(frozen=True)
class Mix:
    """How an epoch's images were mixed."""

    partners: np.ndarray  # integer (N,), the place in the epoch of the image that each was mixed with
    shares: np.ndarray  # float32 (N,), how much of each is its own, 0 to 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return rows, float32 (N, classes), mixed as their images were."""
        own = self.shares[:, np.newaxis]
        return own * rows + (1 - own) * rows[self.partners]


def mix(
    images: np.ndarray, mixup: float, cutmix: float, rng: np.random.Generator, unmixed: np.ndarray
) -> tuple[np.ndarray, Mix]:
    """Mix each image with another one of the epoch; where both ways are on, each image by one of them at random.

    Those that are `unmixed`, bool (N,), stay as they are.

    mixup blends the two; CutMix puts a rectangle of the other into the image, in the same place, and its centre may be
    anywhere. The shares are drawn from Beta(α, α) with the α of mixup or of CutMix (0 is off), and for CutMix corrected
    by what of the rectangle falls outside. Sources: H. Zhang et al., "mixup: Beyond empirical risk minimization", 2017;
    S. Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable features", 2019.
    """
    count, height, width = images.shape
    partners = rng.permutation(count)
    shares = np.empty(count)
    cut = np.asarray(rng.random(count) < (0.5 if mixup and cutmix else float(bool(cutmix))))
    for alpha, chosen in ((mixup, ~cut), (cutmix, cut)):
        shares[chosen] = rng.beta(alpha, alpha, chosen.sum()) if alpha else 1.0
    shares[unmixed] = 1.0
    rows, columns = (
        drawn_stretch(length, np.rint(length * np.sqrt(1 - shares)).astype(int), rng) for length in (height, width)
    )
    shares[cut] = 1 - (rows.sum(axis=1) * columns.sum(axis=1))[cut] / (height * width)
    mixed = np.empty_like(images)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        foreign = rows[part, :, np.newaxis] & columns[part, np.newaxis]
        own = np.where(cut[part, np.newaxis, np.newaxis], ~foreign, shares[part, np.newaxis, np.newaxis])
        own = own.astype(np.float32)
        mixed[part] = own * images[part] + (1 - own) * images[partners[part]] + 0.5
    return mixed, Mix(partners, shares.astype(np.float32))


def stretch(length: int, first: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return which places of a length lie in each image's stretch, from its first place on: bool (N, length)."""
    places = np.arange(length) - first[:, np.newaxis]
    inside: np.ndarray = (places >= 0) & (places < sides[:, np.newaxis])
    return inside


def drawn_stretch(length: int, sides: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a stretch of each of the sides (N,), its centre anywhere: bool (N, length)."""
    return stretch(length, rng.integers(0, length, len(sides)) - sides // 2, sides)
