"""The parts of `torture.py` that try files from others and the data cache."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import measured
import test_sources
from support import hostile, hostile_keras, malformed_reading, strangers

from fmnist.errors import InputError
from fmnist.predictor.opening import open_model


def _with_two_seeds(script: str | None, count: int) -> list[dict]:
    """Run a script with a fixed seed and with a new one, each in a process of its own."""
    seeds = (1, random.SystemRandom().randrange(2**31))
    found = [
        subprocess.run([sys.executable, str(script), str(count), str(seed)], stdout=subprocess.PIPE, check=True).stdout
        for seed in seeds
    ]
    return [json.loads(text) for text in found]


def malformed(folder: Path, data: Path) -> dict:
    """300 malformed files from a fixed seed, 300 from a new one."""
    sets = _with_two_seeds(malformed_reading.__file__, 300)
    good = all(not one["tracebacks"] and one["grown_mib"] < 100 for one in sets)
    return {"sets": sets, "good": good}


def other_peoples(folder: Path, data: Path) -> dict:
    """Pictures, folders, histories and names as other people have them: 300 of each from a fixed seed and a new one."""
    sets = _with_two_seeds(strangers.__file__, 300)
    return {"sets": sets, "good": not any(kind["wrong"] for one in sets for kind in one["kinds"].values())}


def hostile_models(folder: Path, data: Path) -> dict:
    """Every hostile model file."""
    os.environ["CANARY"] = str(folder / "canary")
    os.environ["FMNIST_CACHE"] = str(folder / "cache")
    (folder / "canary").mkdir()
    (folder / "modules").mkdir()
    (folder / "modules" / "canary_module.py").write_text(hostile_keras.CANARY_MODULE)
    sys.path.insert(0, str(folder / "modules"))
    sets = {
        ".keras": [
            (name, ".keras", content) for name, content in hostile_keras.keras_files(hostile_keras.keras_file())
        ],
        ".tflite": [(name, ".tflite", content) for name, content in hostile.litert_files()],
        ".onnx": [(name, ".onnx", content) for name, content in hostile.onnx_files(folder / "weights.bin")],
        "others": list(hostile.other_formats()),
    }
    result: dict = {"files": {}, "opened": []}
    for kind, files in sets.items():
        result["files"][kind] = len(files)
        for name, suffix, content in files:
            path = folder / f"model{suffix}"
            path.write_bytes(content)
            try:
                open_model(path)
                result["opened"].append(f"{kind}: {name}")
            except InputError:
                pass
            path.unlink()
    ran = [*(folder / "canary").iterdir()] or "canary_module" in sys.modules
    return result | {"ran": bool(ran), "good": not result["opened"] and not ran}


def cache(folder: Path, data: Path) -> dict:
    """The tests of the data cache, and 30 SIGKILLs at random moments of a download."""
    os.environ["no_proxy"] = "127.0.0.1"
    os.environ.pop("FMNIST_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test_sources.__file__],
        stdout=subprocess.PIPE, text=True, cwd=measured.ROOT,
    )  # fmt: skip
    rng, bad = random.Random(3), 0
    cache = test_sources.Cache(folder / "cache-kills")
    server = test_sources.Server()
    packed = test_sources.PACKED["first"]
    server.answers["first.gz"] = lambda handler: server.drip(handler, packed, seconds=0.01, piece=len(packed) // 40)
    try:
        for _ in range(30):
            child = test_sources.start_child(cache, server.address)
            time.sleep(rng.uniform(0.1, 1.2))
            child.kill()
            child.communicate()
            kept = test_sources.cached(cache) if cache.folder.is_dir() else {}
            bad += any(test_sources.CONTENTS[name] != content for name, content in kept.items())
        children = [test_sources.start_child(cache, server.address) for _ in range(8)]
        answers = {child.communicate(timeout=120)[0] for child in children}
    finally:
        server.close()
    expected = " ".join(file.sha256 for file in test_sources.FILES) + "\n"
    tests = done.stdout.strip().splitlines()[-1].partition(" in ")[0]
    return {"tests": tests, "kills": 30, "bad": bad, "good": not done.returncode and not bad and answers == {expected}}
