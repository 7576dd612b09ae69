"""What the recipe found out about a picture while it cut out the object, and what there is to doubt about that."""

from dataclasses import dataclass

NOTHING = "no object found"
DOUBTS = {
    NOTHING: ("contrast", 16, 255, "Nothing in the picture stands out from its ground."),
    "little contrast": ("contrast", 36, 255, "The object hardly stands out from its ground."),
    "several objects": ("objects", 0, 1, "The model sees them as one; show it one at a time."),
    "fills the frame": ("share", 0, 0.8, "Hardly any ground is left around the object, which is found by its ground."),
    "uneven ground": ("border", 0, 0.1, "The border of the picture shows more than an even ground."),
    "looks negated": (
        "negated",
        0,
        0,
        "Its border is that of a negative of the training pictures, so light and dark were swapped.",
    ),
}
"""What is doubted: the fact of `CutOut` behind it, between which bounds that raises no doubt, and a sentence."""


@dataclass(frozen=True)
class CutOut:
    """What was found out about one picture.

    Attributes:
        contrast: how far the object is from its ground, in levels of 255: above nine tenths of its pixels. Of a picture
            that is taken as a whole, how far its lightest pixel is from its darkest.
        objects: parts that lie apart, beside or above each other, and are not much smaller than the largest.
        share: how much of the picture is object or has some on all four sides, 0 to 1.
        border: the share of the picture's border that is unlike the ground, 0 to 1.
        negated: whether a picture of the model's own size looked like the negative of the training pictures, and was
            negated.
    """

    contrast: float
    objects: int = 1
    share: float = 0.0
    border: float = 0.0
    negated: bool = False

    @property
    def doubts(self) -> list[str]:
        """What there is to doubt, in words; `NOTHING` stands alone."""
        found = [words for words, (fact, low, high, _) in DOUBTS.items() if not low <= getattr(self, fact) <= high]
        return found[:1] if NOTHING in found else found
