"""`fmnist robustness`: scores a run on corrupted test images, and names the slices on which it fails."""

from typing import Any

import click

from fmnist.cli import options
from fmnist.cli.terminal import Bar, print_table, say, tell
from fmnist.data.dataset import Dataset
from fmnist.errors import RunError
from fmnist.run.directory import RunDirectory
from fmnist.text import number, percent, plural


@options.run_command(
    "robustness", "fmnist robustness latest", "fmnist robustness runs/first --kinds fog,shift --images 0", reads=True
)
@click.option("--kinds", metavar="NAME,NAME,…", default="", help="Only these corruptions, printed and not stored.")
@click.option(
    "--images",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="How many test images are corrupted, a sample drawn from the seed; 0 takes all.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides the sample and each draw."
)
def command(
    run: RunDirectory, dataset: Dataset, kinds: str, images: int, seed: int, as_json: bool, refused: RunError | None
) -> None:
    """Score the saved model of RUN (a path, a name or `latest`) on corrupted test images.

    Sixteen corruptions, such as noise, blur, fog or a rotation, at five strengths; for each the accuracy, the
    calibration error and the share that is called unfamiliar. Below, the slices of the test set (class, brightness,
    size of the object) on which the model fails more often. Writes robustness.json; the report shows it.
    """
    from fmnist import backend

    backend.prepare()
    from fmnist.evaluation import robustness

    if refused:
        say(f"{refused}. It is only read: nothing is written into it.")
    bar = Bar(text="Corrupting")
    try:
        result = robustness.measure(
            run,
            dataset,
            kinds=[name.strip() for name in kinds.split(",") if name.strip()],
            num_images=images,
            seed=seed,
            write=refused is None,
            progress=lambda done, total, name: bar.move(done, total=total, text=name),
        )
    finally:
        bar.close()
    if as_json:
        options.print_json({"run": str(run.path), **result})
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from fmnist.evaluation.robustness import mean_scores
    from fmnist.evaluation.slices import sentence

    clean, kinds = result["clean"], result["kinds"]
    tell(f"Clean accuracy      {percent(clean['accuracy'])} of {plural(result['num_images'], 'test image')}")
    tell(f"Corrupted accuracy  {percent(result['accuracy'])}, the mean of {plural(len(kinds), 'kind')} × 5 strengths")
    tell("\nAccuracy at strengths 1 to 5 and its mean; means of calibration error and share called unfamiliar, in %\n")
    table = [["corruption", *"12345", "mean", "ECE", "unfamiliar"]]
    table.append(["none", *[""] * 5, *_shares(clean)])
    for row in kinds:
        strengths = (number(100 * share) for share in row["accuracy"])
        table.append([row["name"], *strengths, *_shares(mean_scores(row))])
    print_table(table)
    slices = result["slices"]
    if slices["failing"]:
        tell(f"\nWhere it fails most, of all {plural(slices['num_images'], 'test image')} as they are\n")
    for row in slices["failing"]:
        tell(f"  {sentence(row, slices['accuracy'])}")


def _shares(scores: dict[str, float | None]) -> list[str]:
    """Return the cells of mean scores, in percent."""
    shares = (scores[name] for name in ("accuracy", "ece", "unfamiliar"))
    return ["-" if share is None else number(100 * share, 1) for share in shares]
