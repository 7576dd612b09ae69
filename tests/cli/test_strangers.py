"""Pictures, folders, histories and names of other people: a sample of what `make torture` tries by the hundred."""

import json
import random
import subprocess
import sys

import pytest
from support import strangers


@pytest.mark.parametrize("seed", [1, random.SystemRandom().randrange(2**31)], ids=["fixed", "new"])
def test_every_kind_keeps_its_promise(seed):
    """In a process of its own: some of these ended the process that read them."""
    words = [sys.executable, strangers.__file__, "25", str(seed)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (seed, done.returncode, done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert {kind: one["wrong"] for kind, one in found["kinds"].items()} == {kind: [] for kind in strangers.KINDS}, seed
