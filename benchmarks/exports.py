"""Stores the figures of exported files and makes the tables of `docs/export.md` from them.

    fmnist export fast --format litert,litert-int8,litert-fp16,onnx,onnx-int8,keras,savedmodel && fmnist benchmark fast
    python benchmarks/exports.py runs/fast runs/reference

Stores a run's `exports.json` and, where there is one, its `benchmark.json` as
`benchmarks/results/export-<preset>.json`.
"""

from pathlib import Path

import documents
import measured

from fmnist.run.directory import RunDirectory, read_json


def store(run: RunDirectory) -> None:
    """Copy what the document needs out of a run."""
    config = read_json(run.config)
    result = {"preset": config["preset"], "epochs": config["training"]["epochs"], **read_json(run.exports_index)}
    if run.benchmark.is_file():
        result["benchmark"] = read_json(run.benchmark)
    measured.store(f"export-{config['preset']}", result)


def section(result: dict) -> list[str]:
    """Write a run's tables: its files beside Keras and, where they were measured, their speeds."""
    first = result["files"][0]
    epochs = f"{result['epochs']} epoch" + ("" if result["epochs"] == 1 else "s")
    lines = [
        f"`fmnist train --preset {result['preset']}` ({epochs}), all formats but `web`, whose model is `onnx`'s, "
        f"at temperature {first['temperature']:.3f} (Keras itself: {100 * first['keras_accuracy']:.2f}%):",
        "",
        "| format | size | accuracy | top class as Keras | largest difference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in result["files"]:
        lines.append(
            f"| `{row['format']}` | {row['bytes'] / 1000:,.0f} kB | {100 * row['accuracy']:.2f}% "
            f"| {100 * row['agreement']:.2f}% | {row['largest_difference']:.1e} |"
        )
    if "benchmark" not in result:
        return [*lines, ""]
    lines += ["", f"`fmnist benchmark`, on {measured.machine(result['benchmark']['environment'])}:", ""]
    lines += ["| file | latency of one image, ms (p99) | images a second, 256 at a time | start, s | peak memory, MB |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for row in result["benchmark"]["rows"]:
        lines.append(
            f"| `{row['format']}` | {row['latency_median_ms']:.2f} ({row['latency_p99_ms']:.2f}) "
            f"| {row['images_per_second']:,.0f} | {row['start_seconds']:.2f} | {row['peak_bytes'] / 1e6:.0f} |"
        )
    return [*lines, ""]


def files() -> list[str]:
    """Write the tables of all stored runs."""
    return ["", *(line for path in sorted(measured.RESULTS.glob("export-*.json")) for line in section(read_json(path)))]


PARTS = (documents.Part("docs/export.md", "files: made by benchmarks/exports.py", files),)


def main() -> None:
    """Store the runs that are named, then write the document's part."""
    parser = measured.parser(__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="runs with exported files")
    for path in parser.parse_args().runs:
        store(RunDirectory(path))
    documents.write(*PARTS)


if __name__ == "__main__":
    main()
