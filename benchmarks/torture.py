"""Tries kills, full disks, damaged and hostile files by the hundred: the figures of docs/reliability.md.

    python benchmarks/torture.py                 # everything: about 20 minutes on two quiet cores
    python benchmarks/torture.py kills disk      # some parts

It uses the tools of tests/support, in larger numbers. A part's result goes to benchmarks/results/torture.json when it
is done.
Exit code 1 if anything was lost, unequal, not refused, or not told.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import documents
import measured

from fmnist import backend

measured.use_tests("data", "run", "training")
backend.prepare(lean=True)

import numpy as np  # noqa: E402
import test_disk  # noqa: E402
import test_kills  # noqa: E402
import torture_docs  # noqa: E402
import torture_files  # noqa: E402
from support import kills  # noqa: E402
from support.small_data import pattern_images, write_idx_folder  # noqa: E402

import fmnist  # noqa: E402
from fmnist import load_dataset  # noqa: E402
from fmnist.errors import RunError  # noqa: E402
from fmnist.run import checkpoints, environment  # noqa: E402
from fmnist.run.directory import RunDirectory, read_json, write_json  # noqa: E402
from fmnist.run.history import read_history  # noqa: E402
from fmnist.training import state as training_state  # noqa: E402

KILLS = {"random": 50, "save": 25}  # by each of two workers
SECONDS_BETWEEN_SAVES = training_state.CHECKPOINT_SECONDS  # as it is; some parts save more often


def kill_runs(folder: Path, data: Path) -> dict:
    """100 SIGKILLs at random moments and 50 inside saves, over runs of six recipes, two at a time."""
    tallies = [kills.Tally(), kills.Tally()]

    def work(number: int) -> None:
        rng, tally, round_number = random.Random(number), tallies[number], 0
        while (left := KILLS["random"] - tally.at_random) + (inside := KILLS["save"] - tally.inside_saves):
            plan = ["random"] * min(left, 10) + ["save"] * min(inside, 5)
            rng.shuffle(plan)
            place = folder / f"kills-{number}-{round_number}"
            settings = kills.SETTINGS[(2 * round_number + number) % len(kills.SETTINGS)]
            kills.kill_and_resume(place, data, [*settings, "--seed", str(round_number)], rng, plan, tally)
            round_number += 1
            if tally.unreadable:
                return
            print(f"   worker {number}: {tally.at_random} at random, {tally.inside_saves} inside saves", flush=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    names = ("at_random", "inside_saves", "runs", "equal")
    total = {name: sum(getattr(one, name) for one in tallies) for name in names}
    unreadable = [text for one in tallies for text in one.unreadable]
    all_done = [total["at_random"], total["inside_saves"]] == [2 * count for count in KILLS.values()]
    done = all_done and total["runs"] == total["equal"]
    return total | {"recipes": len(kills.SETTINGS), "unreadable": unreadable, "good": done and not unreadable}


def kill_saves(folder: Path, data: Path) -> dict:
    """200 SIGKILLs at random file operations of a save, in a process that does nothing else."""
    rng = random.Random(2)
    for _ in range(200):
        saved = test_kills.kill_inside_a_save(folder / "saves", rng)
        if checkpoints.complete(folder / "saves"):
            _, state, problems = checkpoints.load_latest(folder / "saves")
            if problems or not saved <= state["step"] <= saved + 1:
                return {"kills": 200, "good": False, "problems": problems}
    return {"kills": 200, "good": True}


def damage(folder: Path, data: Path) -> dict:
    """Damage the newest checkpoint at 200 random places."""
    training_state.CHECKPOINT_SECONDS = 0.0
    seed = random.SystemRandom().randrange(2**31)
    run = fmnist.train(test_disk.CONFIG, load_dataset(data), folder / "damage", train_only=True)
    noticed = test_disk.harm_newest(run.checkpoints, 200, random.Random(seed))
    return {"places": 200, "noticed": noticed, "seed": seed, "good": noticed == 200}


def fill_disk(folder: Path, data: Path) -> dict:
    """A file-size limit from every write of a run on; a small tmpfs with more and more room."""
    training_state.CHECKPOINT_SECONDS = 0.0
    dataset = load_dataset(data)
    whole = fmnist.train(test_disk.CONFIG, dataset, folder / "whole", train_only=True)
    place = folder / "disk"
    place.mkdir()
    result = {
        "while_training": test_disk.every_write(range(1000), dataset, whole, place),
        "after_training": test_disk.after_training(range(1000), dataset, whole, place),
        "tmpfs": _tmpfs(folder / "tmpfs", dataset, whole),
    }
    return result | {"good": result["while_training"] > 0 and result["after_training"] > 0}


def _tmpfs(place: Path, dataset, whole) -> int | None:
    """Train on a tmpfs with 0 to 400 KiB free; return how often it was full, None where none can be mounted."""
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], stderr=subprocess.DEVNULL).returncode:
        return None
    full = 0
    try:
        for free in range(0, 416, 16):
            filler, run = place / "filler", RunDirectory(place / "run")
            filler.write_bytes(bytes(8 * 2**20 - 1024 * (free + 32)))
            try:
                fmnist.train(test_disk.CONFIG, dataset, run, train_only=True)
            except RunError as error:
                full += 1
                if "cannot write" not in str(error):
                    raise
            filler.unlink()
            if run.state() != "finished":
                if run.exists():
                    fmnist.resume(run, dataset, train_only=True)
                else:
                    fmnist.train(test_disk.CONFIG, dataset, run, train_only=True)
            test_disk.expect_equal(run, whole)
            shutil.rmtree(run.path)
    finally:
        subprocess.run(["umount", place], check=True)
    return full


def signals(folder: Path, data: Path) -> dict:
    """SIGTERM at moments from the start to well into training; a second writer, while the first lives and after."""
    words = [*measured.FMNIST, "train", "--runs-dir", str(folder), "--data-dir", str(data)]
    small = ["--preset", "reference", "--filters", "4,8", "--epochs", "99999"]
    ends = []
    for number, wait in enumerate((0.2, 1, 2, 3, 4, 6, 8, 10)):
        process = subprocess.Popen([*words, *small, "--name", f"term{number}"], stderr=subprocess.DEVNULL)
        time.sleep(wait)
        process.terminate()
        sent = time.monotonic()
        code = process.wait(timeout=60)
        ends.append({"after": wait, "seconds": round(time.monotonic() - sent, 2), "code": 143 if code == -15 else code})
    first = subprocess.Popen([*words, *small, "--name", "busy"], stderr=subprocess.DEVNULL)
    run, refused = RunDirectory(folder / "busy"), []
    while not run.exists():
        time.sleep(0.1)
    for _ in range(5):
        began = time.monotonic()
        code = subprocess.run([*words, *small, "--name", "busy"], stderr=subprocess.DEVNULL).returncode
        refused.append({"seconds": round(time.monotonic() - began, 2), "code": code})
    first.kill()
    first.wait()
    with run.lock():  # at once: the kernel let go
        pass
    good = all(end["seconds"] < 10 and end["code"] == 143 for end in ends)
    good &= all(one["seconds"] < 2 and one["code"] == 1 for one in refused)
    return {"sigterm": ends, "refused": refused, "good": good}


def memory(folder: Path, data: Path) -> dict:
    """The resident memory of a process over 200 epochs."""
    code = (
        "import json, os, sys, fmnist\n"
        "from fmnist import backend\n"
        "backend.prepare(lean=True)\n"
        "used = []\n"
        "class Watcher(fmnist.Watcher):\n"
        "    def epoch(self, row):\n"
        "        used.append(int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20)\n"
        "config = fmnist.preset('reference', epochs=200, filters=(8, 8), dropout=0.2, flip=True, rotation=10)\n"
        "fmnist.train(config, fmnist.load_dataset(sys.argv[1]), sys.argv[2], watcher=Watcher(), train_only=True)\n"
        "print(json.dumps(used))"
    )
    words = [sys.executable, "-c", code, str(data), str(folder / "memory")]
    used = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    slope = float(np.polyfit(np.arange(150), used[50:], 1)[0])
    shown = {str(epoch): round(used[epoch - 1], 1) for epoch in (1, 10, 50, 100, 150, 200)}
    return {"mib_after_epoch": shown, "mib_per_100_epochs": round(100 * slope, 2), "good": used[-1] - used[49] < 20}


def stall(folder: Path, data: Path) -> dict:
    """What one checkpoint of the reference network with Adam costs: 356,234 parameters and two moments of each."""
    arrays = [np.random.default_rng(0).normal(size=356_234).astype(np.float32) for _ in range(3)]
    times = []
    for step in range(40):
        began = time.perf_counter()
        checkpoints.save(folder / "stall", step, arrays, {"history": [{"loss": 0.1}] * 200})
        times.append(time.perf_counter() - began)
    share = float(np.median(times)) / SECONDS_BETWEEN_SAVES
    return {"median_ms": 1000 * float(np.median(times)), "share": share, "good": share < 0.01}


def deterministic(folder: Path, data: Path) -> dict:
    """The reference network with and without --deterministic, in turn: bits, and seconds an epoch."""
    large = write_idx_folder(folder / "large", pattern_images(6000, seed=1), pattern_images(200, seed=2))
    words = [*measured.FMNIST, "train", "--preset", "reference", "--epochs", "3", "--train-only"]
    words += ["--runs-dir", str(folder), "--data-dir", str(large)]
    seconds: dict[str, list[float]] = {"plain": [], "flag": []}
    ends: dict[str, list[dict]] = {"plain": [], "flag": []}
    for number in range(3):
        for name, flags in (("plain", []), ("flag", ["--deterministic"])):
            run = RunDirectory(folder / f"{name}{number}")
            subprocess.run([*words, "--name", run.name, *flags], check=True, stderr=subprocess.DEVNULL)
            # The first epoch holds tracing.
            seconds[name] += [row["seconds"] for row in read_history(run.history)[1:]]
            ends[name].append(kills.outcome(run))
    same = sum(end == kind[0] for kind in ends.values() for end in kind)
    ratio = float(np.median(seconds["flag"]) / np.median(seconds["plain"]))
    return {"runs": 6, "same": same, "ratio": ratio, "seconds": seconds, "good": same == 6}


PARTS = {
    "kills": kill_runs,
    "saves": kill_saves,
    "damage": damage,
    "disk": fill_disk,
    "malformed": torture_files.malformed,
    "strangers": torture_files.other_peoples,
    "hostile": torture_files.hostile_models,
    "cache": torture_files.cache,
    "signals": signals,
    "memory": memory,
    "stall": stall,
    "deterministic": deterministic,
}


def main() -> int:
    """Run the parts that are named, or all."""
    parser = measured.parser(__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--output", type=Path, default=measured.path("torture"))
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}; expected {', '.join(PARTS)}")
    results = read_json(arguments.output) if arguments.output.is_file() else {}
    for name in arguments.parts or PARTS:
        print(f"== {PARTS[name].__doc__.splitlines()[0]}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            parts = pattern_images(600, seed=1), pattern_images(200, seed=2)
            data = write_idx_folder(Path(folder) / "data", *parts)
            results[name] = PARTS[name](Path(folder), data)
        results[name] |= {"seconds": round(time.monotonic() - began, 1), "date": time.strftime("%Y-%m-%d")}
        results["environment"] = environment.environment()
        write_json(arguments.output, results)
        print(f"   {'good' if results[name]['good'] else 'BAD'}: {results[name]}", flush=True)
    if arguments.output == measured.path("torture"):
        documents.write(*torture_docs.PARTS)
    return int(not all(results[name]["good"] for name in PARTS if name in results))


if __name__ == "__main__":
    sys.exit(main())
