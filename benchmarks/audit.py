"""Audits Fashion-MNIST, plants errors and copies in it and looks for them, and trains without the worst labels.

    python benchmarks/audit.py                 # all parts
    python benchmarks/audit.py plain planted   # some of them

- plain: the data as it is; also draws the pictures of docs/audit.md.
- planted: 3% of the labels are flipped to another class, drawn from a fixed seed.
- copies: of 2,000 training images, a half become test images byte for byte, a half shifted by one pixel.
- study: `fast` with and without decisions about 1% of the training images, five seeds, in pairs.

Writes results/audit.json, and the figures of docs/audit.md.
"""

import csv
import dataclasses
import time
from pathlib import Path
from typing import Any

import documents
import measured
import numpy as np

from fmnist import audit, load_dataset, preset, study
from fmnist.audit import copies
from fmnist.audit.findings import KINDS
from fmnist.data.dataset import Dataset
from fmnist.data.decisions import digest, to_csv
from fmnist.run import environment

FLIPPED, WORST, PLANTED = 0.03, 0.01, 1000
PICTURES = measured.ROOT / "docs" / "pictures"
# Two unplanted images are near-identical if after the best shift and the best factor of brightness their levels differ
# by so many of 255 in the mean over the pixels that are lit in either. It does not use the correlation that the search
# decides by.
IDENTICAL = 16
MINUS = "\N{MINUS SIGN}"


def run(dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Audit a data set; return the contents of audit.json, with the processor's seconds in all threads."""
    started = time.process_time()
    result = audit.audit_dataset(preset("fast"), dataset, folder)
    return result | {"processor_seconds": round(time.process_time() - started, 1)}


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / audit.TABLE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def doubts(dataset: Dataset, folder: Path) -> np.ndarray:
    """Return all training images, the most doubtful label first: int64 (N,)."""
    with np.load(folder / audit.PROBABILITIES) as known:
        given = known["train"][np.arange(len(dataset.train_labels)), dataset.train_labels]
    return np.argsort(given, kind="stable")


def flipped(dataset: Dataset) -> tuple[Dataset, np.ndarray]:
    """Return the data with 3% of the training labels changed to another class, and which these are."""
    random = np.random.default_rng(0)
    chosen = random.choice(len(dataset.train_labels), round(FLIPPED * len(dataset.train_labels)), replace=False)
    labels = dataset.train_labels.copy()
    labels[chosen] = (labels[chosen] + random.integers(1, dataset.num_classes, len(chosen))) % dataset.num_classes
    return dataclasses.replace(dataset, train_labels=labels), chosen


def plain(dataset: Dataset, work: Path) -> dict[str, Any]:
    """Count what is found in the data as it is."""
    result = run(dataset, work / "plain")
    found = rows(work / "plain")
    pairs = [row for row in found if row["kind"] in ("copy", "near-copy")]
    between = [row for row in pairs if {row["part"], row["copy_of"].split()[0]} == {"train", "test"}]
    draw(dataset, found, between)
    return {
        "found": result["found"],
        "agreement": result["agreement"],
        "between": {kind: sum(row["kind"] == kind for row in between) for kind in ("copy", "near-copy")},
        "other_label": sum(row["given"] != row["copy_given"] for row in pairs),
        "pairs": len(pairs),
    }


def planted(dataset: Dataset, work: Path) -> dict[str, Any]:
    """Look for flipped labels."""
    data, chosen = flipped(dataset)
    result = run(data, work / "planted")
    order = doubts(data, work / "planted")
    shares = {
        str(share): float(np.isin(chosen, order[: round(share * len(order))]).mean()) for share in (0.03, 0.05, 0.1)
    }
    listed = [int(row["index"]) for row in rows(work / "planted") if (row["kind"], row["part"]) == ("label", "train")]
    return {
        "flipped": len(chosen),
        "within": shares,
        "listed": len(listed),
        "flipped_in_list": float(np.isin(chosen, listed).mean()),
        "seconds": result["seconds"],
        "processor_seconds": result["processor_seconds"],
    }


def look_for_copies(dataset: Dataset, work: Path) -> dict[str, Any]:
    """Look for planted copies of training images in the test part, as the audit does it."""
    random = np.random.default_rng(0)
    originals = random.choice(len(dataset.train_images), 2 * PLANTED, replace=False)
    places = random.choice(len(dataset.test_images), 2 * PLANTED, replace=False)
    tests = dataset.test_images.copy()
    steps = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
    for number, (original, place) in enumerate(zip(originals, places, strict=True)):
        image = dataset.train_images[original]
        tests[place] = image if number < PLANTED else shifted(image, *steps[random.integers(len(steps))])
    everything = np.concatenate([tests, dataset.train_images])
    started = time.process_time()
    first = copies.exact_copies(everything)
    single = np.flatnonzero(first == np.arange(len(first)))
    found = [
        (single[later], single[earlier], alike) for later, earlier, alike in copies.near_copies(everything[single])
    ]
    seconds = time.process_time() - started
    pairs = {(int(later), int(earlier)) for later, earlier, _ in found}
    pairs |= {(place, int(first[place])) for place in np.flatnonzero(first < np.arange(len(first))).tolist()}
    meant = [(len(tests) + int(original), int(place)) for original, place in zip(originals, places, strict=True)]
    ours = set(places.tolist()) | {len(tests) + int(original) for original in originals}
    others = [pair for pair in sorted(pairs) if not ours & set(pair)]
    differences = difference(everything, np.array(others).reshape(-1, 2))
    return {
        "exact": float(np.mean([pair in pairs for pair in meant[:PLANTED]])),
        "shifted": float(np.mean([pair in pairs for pair in meant[PLANTED:]])),
        "others": len(others),
        "false": int((differences > IDENTICAL).sum()),
        "images": len(everything) - len(ours),
        "largest_difference": float(differences.max(initial=0)),
        "processor_seconds": round(seconds, 1),
    }


def shifted(image: np.ndarray, down: int, across: int) -> np.ndarray:
    """Return an image, uint8 (H, W, C), moved; what comes in is black."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    return padded[1 - down : 1 - down + image.shape[0], 1 - across : 1 - across + image.shape[1]]


def difference(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the smallest mean difference of levels in pairs of images after a shift and a factor: float64 (N,)."""
    found = np.full(len(pairs), 255.0)
    for number, (one, other) in enumerate(pairs):
        here, there = (np.pad(images[place].astype(float), ((2, 2), (2, 2), (0, 0))) for place in (one, other))
        for down in range(-2, 3):
            for across in range(-2, 3):
                moved = np.roll(there, (down, across), axis=(0, 1))
                factor = (here * moved).sum() / max((moved**2).sum(), 1)
                lit = (here > 0) | (moved > 0)
                found[number] = min(found[number], np.abs(here - factor * moved)[lit].mean())
    return found


def decisions(path: Path, dataset: Dataset, indices: np.ndarray, labels: np.ndarray | None = None) -> str:
    """Write that images are to be dropped, or to get labels, integer (N,); return the file's path."""
    names = dataset.class_names
    table = [
        {
            "index": str(index),
            "sha256": digest(dataset.train_images[index]),
            "decision": "drop" if labels is None else "relabel",
            "label": "" if labels is None else names[labels[number]],
        }
        for number, index in enumerate(indices)
    ]
    path.write_bytes(to_csv(("index", "sha256", "decision", "label"), table))
    return str(path)


def compare(dataset: Dataset, work: Path) -> list[dict[str, Any]]:
    """Train `fast` without decisions and with those about the most doubtful 1% of the labels, in pairs."""
    chosen = doubts(dataset, work / "plain")[: round(WORST * len(dataset.train_labels))]
    with np.load(work / "plain" / audit.PROBABILITIES) as known:
        thought = known["train"][chosen].argmax(axis=1)
    variants = {
        "drop the worst": decisions(work / "drop.csv", dataset, chosen),
        "relabel the worst": decisions(work / "relabel.csv", dataset, chosen, thought),
    }
    changes = {name: {"decisions": path} for name, path in variants.items()}
    planned = study.Study("study-plain", preset="fast", variants=changes, seeds=tuple(range(5)))
    result, accuracy = study.compare(planned, dataset, work / planned.name, overwrite=True), "test_accuracy"
    return [
        {
            "variant": row["name"],
            "accuracy": row["summary"][accuracy],
            "difference": (row["test_difference"] or {}).get(accuracy),
        }
        for row in result["variants"]
    ]


def draw(dataset: Dataset, found: list[dict[str, str]], between: list[dict[str, str]]) -> None:
    """Draw the most doubtful labels, and pairs of near copies in both parts."""
    from fmnist.report.plots import tiles
    from fmnist.report.plots.style import INK, MUTED, VALIDATION, styled

    images = {"train": dataset.train_images, "test": dataset.test_images}
    doubtful = [row for row in found if (row["kind"], row["part"]) == ("label", "train")][:24]
    shown = np.stack([images["train"][int(row["index"])] for row in doubtful])
    captions = [
        [(f"given: {row['given']}", INK), (f"{row['model']}? {100 * float(row['probability']):.0f}%", VALIDATION)]
        for row in doubtful
    ]
    pairs = sorted(between, key=lambda row: int(row["index"]))
    pairs = [pairs[place] for place in np.linspace(0, len(pairs) - 1, min(12, len(pairs))).astype(int)]
    sides = []
    notes = []
    for row in pairs:
        part, index = row["copy_of"].split()
        for side, place, name in (
            (row["part"], int(row["index"]), row["given"]),
            (part, int(index), row["copy_given"]),
        ):
            sides.append(images[side][place])
            notes.append([(f"{'training' if side == 'train' else side} {place}", INK), (name, MUTED)])
    with styled():
        for name, figure in {
            "audit-labels": tiles._tiles(shown, captions, "The 24 most doubtful training labels", 8, size=0.9),
            "audit-copies": tiles._tiles(np.stack(sides), notes, "Near copies in training and test", 8, size=0.9),
        }.items():
            figure.savefig(PICTURES / f"{name}.png", dpi=110)


def figures() -> list[str]:
    """Return the stored figures as Markdown."""
    result = measured.stored("audit")
    own, planted, copied = result["plain"], result["planted"], result["copies"]
    lines = ["", "| found in Fashion-MNIST | training | test |", "| --- | --- | --- |"]
    for name, kind in KINDS.items():
        counts = own["found"][name]
        lines += [f"| {kind.title[0].lower()}{kind.title[1:]} | {counts['train']:,} | {counts['test']:,} |"]
    lines += [
        "",
        f"Of {own['pairs']} pairs of near copies {own['between']['near-copy']} stand between training and test, and "
        f"{own['other_label']} have two different labels. Networks that did not learn from an image give its label to "
        f"{100 * own['agreement']:.1f}% of the training images.",
        "",
        "![The 24 most doubtful training labels, each with the class that is given and the one the networks think of]"
        "(pictures/audit-labels.png)",
        "",
        "![Twelve pairs of near copies, one in training and one in the test](pictures/audit-copies.png)",
        "",
        "**Planted errors.** Found again:",
        "",
        "| planted | found |",
        "| --- | --- |",
        f"| {planted['flipped']:,} labels (3%), flipped to another class: within the first 5% of all training images | "
        f"**{100 * planted['within']['0.05']:.1f}%** |",
        f"| within the first 3% of them | {100 * planted['within']['0.03']:.1f}% |",
        f"| in the list of {planted['listed']:,} labels that look wrong | {100 * planted['flipped_in_list']:.1f}% |",
        f"| {PLANTED:,} training images put into the test, byte for byte | **{100 * copied['exact']:.1f}%** |",
        f"| {PLANTED:,} more, shifted by one pixel | **{100 * copied['shifted']:.1f}%** |",
        "",
        f"The same search names {copied['others']} pairs among the {copied['images']:,} images that were not planted. "
        f"{copied['false']} of them ({100 * copied['false'] / copied['images']:.2f}% of these images) are false in "
        f"this sense: after the best shift of up to two pixels and the best factor of brightness, their levels differ "
        f"by more than {IDENTICAL} of 255 in the mean over all pixels that are lit in either "
        f"(the largest difference is {copied['largest_difference']:.0f}). This measure is not the one that the search "
        "decides by. Of the others most are the same cut, in another cloth or colour, and some the same garment.",
        "",
        f"The whole audit of 60,000 training and 10,000 test images took {planted['processor_seconds']:.0f} s of "
        f"processor time in all threads, with other work on {measured.machine(result['environment'])}.",
        "",
    ]
    title = "**Training without the 600 most doubtful labels (1%)**, or with the classes that the networks think of"
    return [*lines, f"{title}: preset `fast`, seeds 0 to 4, in pairs.", "", *table(result["study"]), ""]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return a study's accuracies and differences as Markdown."""
    lines = ["| training images | test accuracy, mean ± standard deviation | difference, points (95% interval) |"]
    lines += ["| --- | --- | --- |"]
    for row in rows:
        mean, spread, found = row["accuracy"]["mean"], row["accuracy"]["sd"], row["difference"]
        low, high = found["interval"] if found else (0, 0)
        told = f"{100 * found['mean']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})" if found else ""
        lines += [f"| {row['variant']} | {100 * mean:.2f} ± {100 * spread:.2f}% | {told} |".replace("-", MINUS)]
    return lines


MEASUREMENTS = {
    "plain": plain,
    "planted": planted,
    "copies": look_for_copies,
    "study": compare,
}
PARTS = (documents.Part("docs/audit.md", "audit: made by benchmarks/audit.py", figures),)


def main() -> None:
    """Measure, store the figures and write them into the page."""
    parser = measured.parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("audits/benchmark"), help="folder for audits and runs")
    parser.add_argument("parts", nargs="*", choices=[*MEASUREMENTS, []], help="all, if none is named")
    arguments = parser.parse_args()
    dataset = load_dataset()
    for name in arguments.parts or MEASUREMENTS:
        found = MEASUREMENTS[name](dataset, arguments.work)
        print(name, found, flush=True)
        told = {name: found, "environment": measured.public(environment.environment())}
        measured.store("audit", measured.stored("audit") | told)
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
