"""Trains the runs of a list, as one process of several if the environment names them, and keeps what came of each.

    python peer.py FOLDER DATA JSON

JSON is a list of settings. Run `n` lies in `FOLDER/n-P`, where P is the number of the process.
"""

import json
import os
import sys
from pathlib import Path

# What Keras imports though nothing here needs it.
sys.modules.update(dict.fromkeys(("IPython", "matplotlib", "pandas", "sklearn")))

from fmnist import backend  # noqa: E402

if "JAX_PROCESS_ID" in os.environ:
    backend.join()
backend.prepare()

import fmnist  # noqa: E402
from fmnist.run.directory import RunDirectory  # noqa: E402
from fmnist.training import loop  # noqa: E402

folder, data, settings = sys.argv[1:]
dataset = fmnist.load_dataset(data)
for number, each in enumerate(json.loads(settings)):
    run = RunDirectory(Path(folder) / f"{number}-{os.environ.get('JAX_PROCESS_ID', 0)}")
    run.path.mkdir()
    loop.train(fmnist.preset("reference", **each), dataset, run)
backend.leave()
