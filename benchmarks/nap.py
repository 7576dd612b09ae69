"""A job that sleeps for a second, in place of a run: `engines.py` hands it to engines by the thousand."""

import time


def main(argv: list[str] | None = None) -> None:
    time.sleep(1)
