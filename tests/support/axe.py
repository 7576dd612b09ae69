"""Asks axe-core what keeps people from using a page; npm fetches it once for each test session, known by its hash."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

PACKAGE = "axe-core-4.14.1.tgz"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="  # its SHA-512
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """(tags) => axe.run(document, { runOnly: tags, resultTypes: ["violations"] }).then(({ violations }) =>
    violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).map(({ id, help, nodes }) =>
        [id, help, ...nodes.slice(0, 5).map(({ target, any }) => `${target}: ${any[0]?.message ?? ""}`)]))"""


def load(folder: Path) -> str:
    """Return axe-core's source; without npm, or where npm reaches no registry, the test is skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which fetches axe-core")
    name, version = PACKAGE.removesuffix(".tgz").rsplit("-", 1)
    command = [npm, "pack", f"{name}@{version}", "--ignore-scripts", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ)
    if done.returncode:
        pytest.skip(f"npm could not fetch axe-core: {done.stderr.strip()[:200]}")
    archive = (folder / PACKAGE).read_bytes()
    assert base64.b64encode(hashlib.sha512(archive).digest()).decode() == INTEGRITY
    with tarfile.open(folder / PACKAGE) as files:
        return files.extractfile("package/axe.min.js").read().decode()


def findings(page, axe: str) -> list:
    """Return the serious and critical findings on a page that a browser shows: rule, what it asks for, where."""
    page.evaluate(axe)
    return page.evaluate(RUN, RULES)
