"""Which addresses a process and all below it listen on; Linux only."""

import re
from pathlib import Path

LISTENS = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def family(process: int) -> set[int]:
    """The process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, more = set(), {process}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in found} - found
    return found


def listening(process: int) -> dict[str, bool]:
    """Each `address:port`, as /proc writes it, on which the family listens, and whether that is a loopback address."""
    inodes = set()
    for one in family(process):
        for descriptor in Path(f"/proc/{one}/fd").glob("*"):
            try:
                inodes |= set(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
            except OSError:
                continue
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    found = {row[1] for row in rows if row[3] == LISTENS and row[9] in inodes}
    return {place: place.partition(":")[0] in LOOPBACK for place in found}
