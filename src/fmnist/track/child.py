"""The process that sends runs to one system: reads jobs on stdin and answers on stdout, a line of JSON each."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import sys
from pathlib import Path
from typing import Protocol

from fmnist.errors import first_line
from fmnist.run.directory import RunDirectory


class Sender(Protocol):
    """Sends one run, or the folder of a study, to a system. Made of the run and its study, or None."""

    def send(self, final: bool) -> None:
        """Send what has not been sent yet; `final`: the results too, since nothing more will come."""

    def where(self) -> str:
        """Return where the run can be looked at, or the command that shows it."""


def main() -> None:
    """Send runs by the class that the last argument names, at the lowest priority: training comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the parent decides what it means
    if hasattr(os, "nice"):
        os.nice(19)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    senders: dict[Path, Sender] = {}
    for line in sys.stdin:
        path, study, final = json.loads(line)
        run = RunDirectory(path)
        try:
            if run.path not in senders:
                senders[run.path] = pkgutil.resolve_name(sys.argv[-1])(run, study and RunDirectory(study))
            senders[run.path].send(final)
            answer = {"where": senders[run.path].where()}
        except Exception as error:  # of libraries, files, networks
            answer = {"problem": first_line(error)}
        if final or "problem" in answer:  # after a problem, what has come is asked for again
            senders.pop(run.path, None)
        print(json.dumps(answer), file=answers, flush=True)
