"""Decodes picture files, one after the other: what a process of `Readers` does, within bounds on memory and time."""

import json
import math
import os
import signal
import sys
from dataclasses import asdict

from fmnist.data.preparation import Preparation
from fmnist.errors import InputError, first_line
from fmnist.images.decoding import decode
from fmnist.images.recipe import examine
from fmnist.system import alarm, limit

_MEMORY = 2 * 2**30  # bytes of the process; each job tells the seconds of its file


def main() -> None:
    """Read the pictures that come on stdin, one after the other, until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal or a service manager: our parent ends us
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit(_MEMORY, math.inf)
    while line := sys.stdin.buffer.readline():
        job = json.loads(line)
        content = sys.stdin.buffer.read(job["bytes"])
        how = None if job["how"] is None else Preparation(**job["how"])
        levels = b""
        alarm(job["seconds"])
        try:
            picture, found = examine(decode(content, job["name"]), tuple(job["shape"]), how)
            levels, answer = picture.tobytes(), asdict(found)
        except InputError as error:
            answer = {"problem": str(error)}
        except Exception as error:
            answer = {"problem": f"{job['name']}: cannot be prepared: {first_line(error)}"}
        alarm(0)
        answers.write(json.dumps(answer).encode() + b"\n" + levels)
        answers.flush()
