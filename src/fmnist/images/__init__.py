"""Turns photos, files, folders and arrays into pictures of the data set's form and the model's size.

Importing it loads Pillow; nothing here loads a model.
"""

from fmnist.images.cutout import DOUBTS, NOTHING, CutOut
from fmnist.images.decoding import FORMATS, SUFFIXES, decode
from fmnist.images.reading import STDIN, find_pictures, read_and_examine, read_pictures
from fmnist.images.recipe import examine, picture, prepare
from fmnist.images.sheet import MAX_PICTURES, contact_sheet

__all__ = [
    "DOUBTS", "FORMATS", "MAX_PICTURES", "NOTHING", "STDIN", "SUFFIXES", "CutOut", "contact_sheet", "decode", "examine",
    "find_pictures", "picture", "prepare", "read_and_examine", "read_pictures",
]  # fmt: skip
