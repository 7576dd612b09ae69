"""Says how pictures became the images of a data set, so that a model's pictures are prepared in the same way."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import InputError
from fmnist.run.directory import read_bounded

PREPARATION_FILE = "preparation.json"
METHODS = ("photo", "whole")
_LOOKED_AT = 1000  # images that tell whether a data set's grounds are light


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an image of the data set; `fmnist.images.recipe.prepare` does it.

    Whether that is grey or in colour, the images themselves tell.
    """

    method: str = "photo"  # the object is cut out and centred, light on black; `whole`: all of the picture, made to fit
    negate: bool = False  # afterwards; never in colour

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> "Preparation":
        """Return what photos need to become like the images of a data set, uint8 (N, H, W, C), that does not say it."""
        if images.shape[-1] == 3:
            return WHOLE
        return cls(
            negate=bool(images.size) and bool(np.median([border(image) for image in images[:_LOOKED_AT]]) > 127.5)
        )

    @classmethod
    def from_dict(cls, values: Any, name: str) -> "Preparation":
        """Rebuild it from the values of a JSON object.

        Raises:
            InputError: they are no such thing; it names where they came from.
        """
        if isinstance(values, dict) and values.get("method") in METHODS and isinstance(values.get("negate"), bool):
            return cls(values["method"], values["negate"])
        form = '{"method": "photo" or "whole", "negate": true or false}'
        raise InputError(f"{name} says of how pictures are prepared {str(values)[:80]}; expected {form}")


PHOTO, WHOLE = Preparation(), Preparation("whole")


def read_preparation(folder: Path) -> Preparation | None:
    """Return what a data folder says; None where it says nothing."""
    try:
        values = json.loads(read_bounded(folder / PREPARATION_FILE, 2**16))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{PREPARATION_FILE} cannot be read as JSON: {error}") from error
    return Preparation.from_dict(values, PREPARATION_FILE)


def border(image: NDArray[np.uint8], share: float = 0.5) -> NDArray[np.float64]:
    """Return the level that this share of an image's outermost pixels lies below, by default their median: (C,)."""
    outermost = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.asarray(np.quantile(outermost, share, axis=0))
