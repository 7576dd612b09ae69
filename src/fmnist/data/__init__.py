"""Reads four IDX files, wherever they come from, into images and labels in memory."""

from fmnist.data.dataset import Dataset, load_dataset, read_folder
from fmnist.data.idx import read_idx, write_idx
from fmnist.data.inspection import inspect
from fmnist.data.place import load, train_flags
from fmnist.data.sources import FILE_NAMES
from fmnist.data.split import fold_indices, run_split, split_indices

__all__ = [
    "FILE_NAMES", "Dataset", "fold_indices", "inspect", "load", "load_dataset", "read_folder", "read_idx", "run_split",
    "split_indices", "train_flags", "write_idx",
]  # fmt: skip
