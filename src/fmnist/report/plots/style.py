"""What all pictures share: colours, letters, the look of axes, the title's place, and how a figure is saved.

Every colour is one of these few, so that the report can exchange them for those of a dark page.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmnist.run.directory import atomic_path

DPI = 150
# In inches: the strip at the top of every figure that holds only its title, and those at the sides that hold nothing.
# The report has headlines of its own and cuts them off.
TITLE_STRIP, SIDE_STRIP = 0.42, 0.1
# Of a part of a figure, in inches: as wide as a phone's screen, so that letters are as large there as elsewhere.
PART = 3.8
LEFT = 0.155  # where titles and images begin
PAPER, INK, MUTED, FAINT = "#ffffff", "#1b2430", "#566272", "#dfe3e8"
# Blue and orange of Okabe and Ito's palette for colour-blind readers, the orange darkened to a contrast of 5 on white.
TRAINING, VALIDATION = "#0072b2", "#bf4f00"
# Mistakes are laid over the page with an opacity of at most 0.7, on which dark and light text can both be read.
MISTAKE = "#d65a00"

# Comes with matplotlib. What it lacks, Chinese letters say, is taken from the first of the others that is installed.
_LETTERS = "DejaVu Sans"
_MORE_LETTERS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic"),
    *("Malgun Gothic", "Nirmala UI", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS"),
)

_STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a class may have a dollar sign in its name
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titlecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.spines.left": False, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": FAINT,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.major.size": 0, "ytick.major.size": 0,
    "image.composite_image": False,  # otherwise the SVG gets pictures resampled to 72 dpi
    "svg.fonttype": "path",
    "svg.hashsalt": "fmnist",
}  # fmt: skip


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Set our style on matplotlib's defaults, whatever a matplotlibrc says; decorates each drawing function."""
    talk = logging.getLogger("matplotlib.font_manager")
    level = talk.level
    talk.setLevel(logging.ERROR)  # that a font for other letters has no bold ones is no news to a user
    try:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE | {"font.family": families()})
            yield
    finally:
        talk.setLevel(level)


def families() -> list[str]:
    """Return the fonts in which letters are looked for, one after the other."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [_LETTERS, *(name for name in _MORE_LETTERS if name in installed)]


def titled(width: float, height: float, title: str, columns: int = 1, parts: int | None = None) -> Figure:
    """Return a figure of so many inches, its title in the top strip.

    A page may take it apart: into parts of one size, row by row, in so many columns; all of one row if not said.
    """
    figure = Figure(figsize=(width, height))
    figure.set_gid(f"columns-{columns}-parts-{parts or columns}")
    figure.text(LEFT / width, 1 - 0.14 / height, title, size=12, weight="bold", va="top")
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
    """Return axes of so many inches, so far from the figure's lower left corner."""
    wide, tall = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall), **options)


def save(figure: Figure, path_stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG; files with the same content are the same bytes."""
    stem = path_stem.with_suffix("") if path_stem.suffix in (".png", ".svg") else path_stem
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    nothing: dict[str, Any] = {"png": {"Software": None}, "svg": dict.fromkeys(("Creator", "Date", "Format", "Type"))}
    for path in paths:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata=nothing[path.suffix[1:]], facecolor=PAPER)
    return paths
