"""Measures one run on JAX in one process with so many threads, and in as many processes of one thread each, in turn.

    python benchmarks/distributed.py --cores 0,1 --rounds 3

Both are bound to the same cores. The first epoch is left out (it holds compiling). Stored in
`benchmarks/results/distributed.json`.
"""

import os
import socket
import statistics
import subprocess
import tempfile
from pathlib import Path

import measured

from fmnist.run.directory import RunDirectory, read_json
from fmnist.run.history import read_history


def seconds(recipe: list[str], cores: list[str], shared: bool) -> tuple[float, dict]:
    """Train once; return the median seconds of an epoch's steps and measuring, and the environment."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
        free.close()
        words = [*measured.FMNIST, "train", "--train-only", "--name", "run", "--runs-dir", folder, *recipe]
        places = [{"JAX_PROCESS_ID": f"{number}", "JAX_NUM_PROCESSES": f"{len(cores)}"} for number in range(len(cores))]
        places = [place | {"JAX_COORDINATOR_ADDRESS": address} for place in places] if shared else [{}]
        started = [
            subprocess.Popen(
                ["taskset", "-c", cores[number] if shared else ",".join(cores), *words, *["--distributed"] * shared],
                env=os.environ | {"KERAS_BACKEND": "jax"} | place,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number, place in enumerate(places)
        ]
        if any([process.wait() for process in started]):
            raise RuntimeError(f"a process of {words} failed")
        run = RunDirectory(Path(folder) / "run")
        rows = read_history(run.history)[1:]
        return statistics.median(row["seconds"] for row in rows), read_json(run.environment)


def main() -> None:
    """Run the rounds, print and store the seconds and the ratios."""
    parser = measured.parser(__doc__)
    parser.add_argument("--cores", default="0,1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe", default="--preset reference --limit 8000 --epochs 4 --validation-fraction 0.1")
    arguments = parser.parse_args()
    cores, rounds, environment = arguments.cores.split(","), [], {}
    for number in range(arguments.rounds):
        one, environment = seconds(arguments.recipe.split(), cores, shared=False)
        several, _ = seconds(arguments.recipe.split(), cores, shared=True)
        rounds.append({"one_process": one, "processes": several})
        print(f"round {number + 1}: one process {one:.2f} s, {len(cores)} processes {several:.2f} s", flush=True)
    ratio = statistics.median(row["one_process"] / row["processes"] for row in rounds)
    result = {"cores": len(cores), "recipe": arguments.recipe, "rounds": rounds, "times_as_fast": ratio}
    measured.store("distributed", result | {"environment": measured.public(environment)})
    print(f"{len(cores)} processes are {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
