"""`fmnist train` for tests that kill it: it saves often, says when it trains, and can end itself inside a save.

    python victim.py SECONDS KILL ARGUMENTS...

SECONDS lie between two checkpoints. KILL is `-`, or `S:N`: SIGKILL at the N-th file operation of the S-th save, or
right after that save where it has fewer. The first steps write a line `training` on stdout.
"""

import os
import signal
import sys

from fmnist import backend

OPERATIONS = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_inside(training_state, save: int, operation: int) -> None:
    """Count the file operations of a save, and end at one of them."""
    saves, operations, inside = 0, 0, False

    def watch(event, arguments):
        nonlocal operations
        if inside and event in OPERATIONS:
            operations += 1
            if operations == operation:
                end()

    original = training_state.save

    def counted(*arguments):
        nonlocal saves, inside
        saves += 1
        inside = saves == save
        original(*arguments)
        if inside:
            end()

    training_state.save = counted
    sys.addaudithook(watch)


def main() -> int:
    seconds, kill, *arguments = sys.argv[1:]
    backend.prepare(lean=True)
    from fmnist import cli
    from fmnist.training import state

    state.CHECKPOINT_SECONDS = float(seconds)
    if kill != "-":
        kill_inside(state.TrainingState, *map(int, kill.split(":")))
    take_steps, told = backend.Steps.__call__, False

    def tell(self, images, labels):
        nonlocal told
        if not told:
            os.write(1, b"training\n")
            told = True
        return take_steps(self, images, labels)

    backend.Steps.__call__ = tell
    return cli.main(["train", *arguments])


if __name__ == "__main__":
    sys.exit(main())
