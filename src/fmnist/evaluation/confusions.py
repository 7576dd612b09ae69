"""Lists which classes are most often predicted as which others."""

from collections.abc import Mapping
from typing import Any


def frequent_confusions(metrics: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the largest numbers beside the confusion matrix's diagonal, the largest first, those above zero.

    Args:
        metrics: with `confusion_matrix` (rows true, columns predicted) and `class_names`, as in `metrics.json`.
        count: how many at most.

    Returns:
        For each the `true` and the `predicted` class's name, its `count`, the number of `images` of the true class,
        and the `share` of them.
    """
    matrix, names = metrics["confusion_matrix"], metrics["class_names"]
    found = [
        {"true": true, "predicted": predicted, "count": number, "images": sum(row), "share": number / sum(row)}
        for place, (true, row) in enumerate(zip(names, matrix, strict=True))
        for other, (predicted, number) in enumerate(zip(names, row, strict=True))
        if place != other and number
    ]
    return sorted(found, key=lambda item: -item["count"])[:count]
