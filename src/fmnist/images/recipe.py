"""Turns a photo into the data set's form, as the data set's authors did with product photos, but robustly.

The recipe: cut the edges off that look like the background, shrink the longest side to the picture's, sharpen, centre,
negate, grey. (Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017, section 2.) Their background was white; here it is measured
on the border, and may be any colour and gently shaded. In colour the object keeps its own, on black. Knows no files.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

from fmnist.data import shape
from fmnist.data.preparation import Preparation, border
from fmnist.data.shape import Shape
from fmnist.images.cutout import CutOut

SIDE = 160  # at which background and object are told apart: with the margin, 4.8 pixels for one of the data set's
MARGIN = 0.1  # background left around the object, as a share of its longest side
# What differs from the background by less than the first, in levels of 255, belongs to it; what differs by more than
# the second does not. The authors' 5% lie between the two.
BACKGROUND, OBJECT = 8.0, 24.0
# The same as shares of the object's contrast: on an even ground, and where a shadow or a texture has to count as
# background. With the first alone 84% of fake photos with shadows kept their class; with the second alone 95% of those
# on plain white, not 98%, since faint edges were cut off.
EVEN, UNEVEN = (0.03, 0.1), (0.2, 0.35)
# The outline is looked at where the contrast is this share of the object's, and twice as much. In fake photos on even
# grounds these two lie up to 0.24 of the data set's pixels apart, in 90% of those with a shadow more than 0.3.
OUTLINE, FADING = 0.05, 0.25
ROUGH = 0.1  # a ground is no more even if this share of the border's pixels differs from it
DARK, BLACK = 96, 8  # a background darker than the first is dark; one darker than the second may be the data set's own
# An object on a dark ground is narrowed by this share of the picture's longest side, 0.6 of the data set's pixels:
# where the two mix it is dark, and would become a bright rim. That kept 89 and 92% of fake photos on dark grounds in
# their class (two models), without it 81 and 84%.
RIM = 0.02
FAINT = 40  # an object whose brightest pixel would be darker in the data set's form is taken the other way round
# Objects are told apart where less than the first share of the object's largest extent lies between them, and count if
# they have at least the second share of the largest one's pixels.
GAP, PART = 0.02, 0.25
CONTRAST = 0.9  # the quantile of the object's pixels that tells its contrast: much of a text is gaps that were closed
TRANSPARENT = 0.05  # transparent pixels are the background if their share is larger: rounded corners are not enough
# ImageMagick's sharpening with a Gaussian of 1.0, as near as Pillow has it; it also makes up for the averaging.
SHARPEN = ImageFilter.UnsharpMask(radius=1.0, percent=150, threshold=0)


def prepare(image: Image.Image, image_shape: Shape, how: Preparation | None = None) -> np.ndarray:
    """Return a picture in a data set's form; by default the object light on black, as large as it will go, centred.

    The picture is of mode L, LA, RGB or RGBA, the result uint8 (H, W, C) of the shape `image_shape`. A picture that has
    this size already is passed through as it is; where it is known `how` photos are prepared, only if three quarters of
    its border don't tell that it is the negative (of Fashion-MNIST's 70,000 images none does). Colour becomes grey
    where C is 1, and grey three equal channels where C is 3; nothing is negated then, and by default a picture is taken
    as a whole.
    """
    return examine(image, image_shape, how)[0]


def examine(image: Image.Image, image_shape: Shape, how: Preparation | None = None) -> tuple[np.ndarray, CutOut]:
    """Return what `prepare` returns, and what was found out about the picture on the way."""
    channels = image_shape[2]
    how = Preparation("whole") if how is None and channels == 3 else how
    negate = how is not None and how.negate
    if how is not None and how.method == "whole":
        levels = contained(flatten(image, 255, channels), image_shape)
        return 255 - levels if negate else levels, CutOut(_range(levels))
    if (image.height, image.width) == image_shape[:2]:
        levels = flatten(image, 255 if negate else 0, channels)
        negative = border(levels, 0.75) < 127.5 if negate else how is not None and border(levels, 0.25) > 127.5
        negated = channels == 1 and bool(negative)
        return 255 - levels if negated else levels, CutOut(_range(levels), negated=negated)
    levels, found = _cut_out(image, image_shape)
    return 255 - levels if negate else levels, found


def _range(levels: np.ndarray) -> float:
    """Return the lightest level against the darkest, of the channel where they are furthest apart."""
    return float(np.ptp(levels, axis=(0, 1)).max())


def contained(levels: np.ndarray, image_shape: Shape) -> np.ndarray:
    """Return a picture, uint8 (h, w, C), shrunk or enlarged to fit, as a whole, on a ground of its border's level."""
    if levels.shape == image_shape:
        return levels
    scale = min(image_shape[0] / levels.shape[0], image_shape[1] / levels.shape[1])
    height, width = (max(1, round(length * scale)) for length in levels.shape[:2])
    top, left = (image_shape[0] - height) // 2, (image_shape[1] - width) // 2
    result = np.full(image_shape, border(levels).round(), np.uint8)
    small = picture(levels).resize((width, height), Image.Resampling.LANCZOS)
    result[top : top + height, left : left + width] = _array(small)
    return result


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def picture(image: np.ndarray) -> Image.Image:
    """Return an image, uint8 (H, W, C), as a picture of mode L or RGB."""
    return Image.fromarray(np.ascontiguousarray(shape.without_channel(image)))


def _array(image: Image.Image) -> np.ndarray:
    """Return a picture of mode L or RGB as an image, uint8 (H, W, C)."""
    return np.asarray(image).reshape(image.height, image.width, -1)


def _cut_out(image: Image.Image, image_shape: Shape) -> tuple[np.ndarray, CutOut]:
    """Return the object of a photo, light on black or in its colours, as large as it will go; and the facts."""
    height, width, channels = image_shape
    closer, found = _closer(image)
    small = _shrunk(closer, max(SIDE, 5 * max(height, width)))
    values, (left, top, right, bottom) = _values(small, channels)
    scale = min(height / (bottom - top), width / (right - left))
    x, across = _window(left, right, width, scale)
    y, down = _window(top, bottom, height, scale)
    around = math.ceil(max(across, down))
    values = values.crop((-around, -around, values.width + around, values.height + around))
    box = x + around, y + around, x + around + across, y + around + down
    small = values.resize((width, height), Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC, box=box)
    return _array(small.filter(SHARPEN)), found


def _window(start: float, end: float, count: int, scale: float) -> tuple[float, float]:
    """Return where the result begins, along one side, and its length: whole, with the object in the middle.

    Where the object takes an odd number of pixels, the data set has one more of background before it than after it.
    """
    pixels = round((end - start) * scale)
    middle = (count - pixels + 1) // 2 + pixels / 2
    return (start + end) / 2 - middle / scale, count / scale


def flatten(image: Image.Image, background: int, channels: int) -> np.ndarray:
    """Return a picture in grey or in colour, uint8 (H, W, C), its transparent parts filled with one level."""
    opaque = image.convert(_mode(channels))
    if image.mode in ("LA", "RGBA"):
        flat = picture(np.full((image.height, image.width, channels), background, np.uint8))
        flat.paste(opaque, mask=image.getchannel("A"))
        return _array(flat)
    return _array(opaque)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return the picture with its longest side at most `side` pixels long."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def _closer(image: Image.Image) -> tuple[Image.Image, CutOut]:
    """Cut off most of the background: a small object shows better once it is larger. Tell what was found out.

    A margin is left, so that the background can still be measured around an object that fills its rectangle.
    """
    small = _shrunk(image, SIDE)
    _, mask, _, distance = _object(small)
    left, top, right, bottom = _box(mask)
    scale = max(image.size) / max(small.size)
    margin = MARGIN * max(right - left, bottom - top)
    edges = (left - margin, top - margin, right + margin, bottom + margin)
    left, top, right, bottom = (round(edge * scale) for edge in edges)
    box = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    return image.crop(box), _found(mask > 0.5, distance)


def _found(inside: np.ndarray, distance: np.ndarray) -> CutOut:
    """Return the facts of a picture, of which object there is `inside`, `distance` levels from the ground."""
    border = float((distance[_frame(inside.shape)] > OBJECT).mean())
    if not inside.any():
        return CutOut(0.0, 0, 0.0, border)
    parts = max(_parts(inside.sum(axis=axis)) for axis in (0, 1))
    sides = inside, inside[::-1], inside.T, inside.T[::-1]
    before, after, left, right = (np.logical_or.accumulate(side) for side in sides)
    enclosed = before & after[::-1] & left.T & right[::-1].T
    return CutOut(float(np.quantile(distance[inside], CONTRAST)), parts, float(enclosed.mean()), border)


def _parts(counts: np.ndarray) -> int:
    """Return how many stretches hold a good part of all that is counted along one side, with gaps between them."""
    gaps = np.flatnonzero(np.append(0, counts) <= GAP * counts.max())
    sums = np.add.reduceat(np.append(0, counts), gaps)
    return int((sums >= PART * sums.max()).sum())


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what belongs to the object; of everything where nothing does."""
    rows, columns = np.flatnonzero((mask > 0.5).any(axis=1)), np.flatnonzero((mask > 0.5).any(axis=0))
    if not len(rows):
        return 0, 0, mask.shape[1], mask.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _values(image: Image.Image, channels: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Return the picture in the data set's sense, 0 for the background, and the object's rectangle in it."""
    levels, mask, background, _ = _object(image)
    inside = mask > 0.5
    if not inside.any():
        return Image.new(_mode(channels), image.size), (0, 0, *image.size)
    if channels == 3:
        colours = flatten(image, 255, 3) * mask[..., np.newaxis]
        return picture(colours.astype(np.uint8)), _box(mask)
    negated = 255 - levels
    dark = background.mean() < DARK
    if background.mean() < BLACK and _already_negated(levels, inside):
        negated = (levels - background) * (255 / (255 - background).clip(1))
    elif dark:  # what is as dark as the ground inside the object's outline belongs to it
        mask = np.maximum(mask, _filled(inside))
        mask = _eroded(mask, 2 * round(RIM * max(image.size)) + 1)
    elif (negated * mask).max() < FAINT:  # a white object on transparency: the other way round it can be seen
        negated = levels
    values = Image.fromarray((negated * mask).clip(0, 255).astype(np.uint8))
    return values, _box(mask)


def _already_negated(levels: np.ndarray, inside: np.ndarray) -> bool:
    """Whether a picture on a dark ground is drawn in the data set's form, light for dark.

    There an object rises out of the ground from its outline inwards. A photo's object is lightest at its outline, where
    the data set has it negated, or the same all over.
    """
    inside = _filled(inside)
    shells = [_eroded(inside, size) > 0.5 for size in (3, 7, 11)]
    ring, core = shells[0] & ~shells[1], shells[2]
    if not core.any():
        core = shells[1]
    return not core.any() or levels[ring].mean() < levels[core].mean()


def _filled(mask: np.ndarray) -> np.ndarray:
    """Return a mask with everything that the border cannot reach added to it."""
    free = np.pad(~mask, 1, constant_values=True)
    outside = np.zeros_like(free)
    outside[[0, -1]] = outside[:, [0, -1]] = True
    while True:
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
        if (grown == outside).all():
            return ~outside[1:-1, 1:-1]
        outside = grown


def _eroded(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a mask narrowed by a square of `size` (odd) pixels, float32; outside the picture there is no object."""
    return _filtered(mask, size, ImageFilter.MinFilter(size))


def _filtered(mask: np.ndarray, margin: int, *filters: ImageFilter.RankFilter) -> np.ndarray:
    padded = Image.fromarray((np.pad(mask, margin) * 255).astype(np.uint8))
    for one in filters:
        if one.size > 1:  # Pillow 12.3 divides by zero in a window of one pixel, which changes nothing
            padded = padded.filter(one)
    return np.asarray(padded, np.float32)[margin:-margin, margin:-margin] / 255


def _object(image: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the grey levels, how much each pixel is the object (0 to 1), the background's levels, and the distance.

    All are float32 (h, w). The distance is that of a pixel from the background, 0 to 255.
    """
    levels = np.asarray(flatten(image, 255, 1)[..., 0], np.float32)
    if image.mode in ("LA", "RGBA"):
        alpha = np.asarray(image.getchannel("A"), np.float32) / 255
        if (alpha < 0.5).mean() > TRANSPARENT:
            return levels, alpha, np.full_like(levels, 255), 255 * alpha
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    colours = np.asarray(image.convert("RGB"), np.float32)
    ground = _background(colours)
    distance = np.abs(colours - ground).max(axis=2)
    contrast = float(np.percentile(distance, 98))
    shares = EVEN if _is_even(distance, contrast) else UNEVEN
    low, high = max(BACKGROUND, shares[0] * contrast), max(OBJECT, shares[1] * contrast)
    mask = ((distance - low) / (high - low)).clip(0, 1)
    # Levels that happen to equal the background's cut lines into an object: closed, where they are thin.
    size = 2 * (max(mask.shape) // 50) + 1
    if size > 1:
        mask = _filtered(mask, size, ImageFilter.MaxFilter(size), ImageFilter.MinFilter(size))
    return levels, mask, ground @ np.array([0.299, 0.587, 0.114], np.float32), distance


def _is_even(distance: np.ndarray, contrast: float) -> bool:
    """Whether nothing but the object differs from the ground: a shadow fades slowly, an object ends within a pixel."""
    limit = max(BACKGROUND, OUTLINE * contrast)
    weak, strong = distance > limit, distance > max(OBJECT, UNEVEN[1] * contrast)
    left, top, right, bottom = _box(strong)
    pixel = max(right - left, bottom - top) / 28
    outline = (weak & (_eroded(weak, 3) < 0.5)).sum()
    fading = (weak & (distance <= 2 * limit)).sum() / max(1, outline) / pixel
    return bool(fading < FADING and (weak & ~strong)[_frame(weak.shape)].mean() < ROUGH)


def _frame(shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixels lie on the border: bool (h, w)."""
    frame = np.ones(shape, bool)
    edge = max(1, min(shape) // 50)
    frame[edge:-edge, edge:-edge] = False
    return frame


def _background(colours: np.ndarray) -> np.ndarray:
    """Return the background's colours, float32 (h, w, 3): planes through the border's pixels, outliers left out."""
    height, width, _ = colours.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    frame = _frame((height, width))
    pixels, places = colours[frame], np.stack([np.ones_like(x), x, y], axis=-1)
    borders = places[frame]
    plane = np.zeros((3, 3), np.float32)
    plane[0] = np.median(pixels, axis=0)
    for _ in range(5):
        away = np.abs(pixels - borders @ plane).max(axis=1)
        near = away <= max(BACKGROUND, 2.0 * float(np.median(away)))
        if near.sum() < 0.3 * len(near):
            break
        plane = np.linalg.lstsq(borders[near], pixels[near], rcond=None)[0]
    return (places @ plane).clip(0, 255)
