"""Makes real training histories whose settings force them to overfit, underfit, diverge or fit well.

    python benchmarks/make_histories.py                  # all, about a minute each on two cores
    python benchmarks/make_histories.py overfit-500      # some

Writes `tests/support/data/histories/<name>.csv` and, for all of them, `expected.json`: the verdict that the settings
force, written down before the run, and the number of validation images. The runs named `keras-` are what a
plain Keras script leaves behind with a `CSVLogger`.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import measured

FOLDER = measured.ROOT / "tests" / "support" / "data" / "histories"
# The verdict where nothing more is certain beforehand.
NOT_OVERFITTING = "not overfitting"
REFERENCE = "--preset reference --batch-size 64"

# name: (expected verdict, validation images, why it has to come out so, settings)
OURS = {
    "overfit-500": (
        "overfitting",
        500,
        "356,234 parameters learn 500 images by heart",
        "--limit 1000 --validation-fraction 0.5 --epochs 30",
    ),
    "overfit-1000-sgd": (
        "overfitting",
        1000,
        "1,000 images seen sixty times",
        "--limit 2000 --validation-fraction 0.5 --optimizer sgd --learning-rate 0.03 --epochs 60",
    ),
    "overfit-2000-kernel-5": (
        "overfitting",
        2000,
        "larger kernels, 2,000 images, 20 passes",
        "--limit 4000 --validation-fraction 0.5 --kernel-size 5 --epochs 20 --seed 1",
    ),
    "underfit-slow": (
        "underfitting",
        2000,
        "a learning rate a hundred times too small, 5 passes",
        "--limit 10000 --learning-rate 1e-5 --epochs 5",
    ),
    "underfit-tiny": (
        "underfitting",
        4000,
        "one filter in each block: 16 numbers are all that is left of an image",
        "--limit 20000 --filters 1,1,1 --batch-size 128 --epochs 16",
    ),
    "underfit-slow-sgd": (
        "underfitting",
        1200,
        "plain steps of a thousandth on a small network",
        "--limit 6000 --filters 4,8,16 --optimizer sgd --learning-rate 0.0003 --epochs 12",
    ),
    "diverged-adam": (
        "diverged",
        600,
        "a learning rate a thousand times too large",
        "--limit 3000 --learning-rate 1.0 --epochs 6",
    ),
    "diverged-adam-seed-1": (
        "diverged",
        600,
        "a learning rate five hundred times too large",
        "--limit 3000 --learning-rate 0.5 --epochs 8 --seed 1",
    ),
    "good-fit-small": (
        "good fit",
        6000,
        "a small network has seen 24,000 images until it can take in no more",
        "--limit 30000 --filters 4,8,16 --batch-size 128 --epochs 30",
    ),
    "augmented": (
        NOT_OVERFITTING,
        6000,
        "other images in each pass: mirrored and shifted",
        "--limit 30000 --filters 6,12,24 --batch-size 128 --epochs 30 --flip --shift 2",
    ),
    "improving": (
        "still improving",
        6000,
        "stopped after a sixth of the epochs it needs",
        "--limit 30000 --filters 16,32,64 --learning-rate 5e-4 --epochs 5",
    ),
    "short": ("too short to tell", 1000, "two epochs", "--limit 5000 --epochs 2"),
}

# name: (expected verdict, validation images, why)
KERAS = {
    "keras-overfit": ("overfitting", 1000, "two dense layers of 512 learn 1,000 images by heart in 40 epochs"),
    "keras-underfit": ("underfitting", 2000, "a straight line between the classes cannot tell a shirt from a coat"),
    "keras-diverged": ("diverged", 1000, "plain gradient descent with a learning rate of 20"),
    "keras-unstable": ("unstable", 1000, "every third epoch takes steps thirty times too large"),
    "keras-good-fit-conv": ("good fit", 5000, "the steps become tiny before it can learn 24,000 images by heart"),
    "keras-good-fit": ("good fit", 5000, "a small network whose steps have become tiny for the last third"),
}


def train_ours(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = f"train --train-only --runs-dir {folder} --name {name} {REFERENCE} {OURS[name][3]}"
        subprocess.run([*measured.FMNIST, *command.split()], check=True)
        shutil.copy(Path(folder) / name / "history.csv", FOLDER / f"{name}.csv")


def train_keras(name: str) -> None:
    import keras
    from keras import layers

    from fmnist import load_dataset

    keras.utils.set_random_seed(0)
    size = KERAS[name][1]
    dataset = load_dataset()
    images, labels = dataset.train_images[..., 0] / 255.0, dataset.train_labels
    train = {"keras-underfit": 8000, "keras-good-fit": 30000, "keras-good-fit-conv": 24000, "keras-unstable": 4000}.get(
        name, 1000
    )
    callbacks = [keras.callbacks.CSVLogger(FOLDER / f"{name}.csv")]
    hidden, optimizer, epochs, batch = [], keras.optimizers.Adam(), 40, 32
    if name == "keras-overfit":
        hidden = [layers.Dense(512, activation="relu"), layers.Dense(512, activation="relu")]
    elif name == "keras-underfit":
        optimizer, epochs = keras.optimizers.SGD(0.01), 25
    elif name == "keras-diverged":
        hidden, optimizer, epochs = [layers.Dense(128, activation="relu")], keras.optimizers.SGD(20.0), 6
    elif name == "keras-unstable":
        hidden, epochs = [layers.Dense(128, activation="relu")], 24
        callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch % 3 else 3e-2))
    elif name == "keras-good-fit-conv":
        hidden, epochs, batch = [layers.Reshape((28, 28, 1))], 14, 64
        for filters in (16, 32):
            hidden += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
        callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch < 8 else 1e-5))
    else:
        hidden, epochs, batch = [layers.Dense(32, activation="relu")], 24, 64
        callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch < 12 else 2e-5))
    first = [] if name == "keras-good-fit-conv" else [layers.Flatten()]
    last = [layers.Flatten(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((28, 28)), *first, *hidden, *last])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (images[-size:], labels[-size:])
    model.fit(images[:train], labels[:train], batch, epochs, validation_data=validation, callbacks=callbacks, verbose=2)


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which of them; all without")
    parser.add_argument("--missing", action="store_true", help="only those whose file is not there")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = {
        name: dict(zip(("verdict", "validation_size", "why"), row[:3], strict=True))
        for name, row in (OURS | KERAS).items()
    }
    (FOLDER / "expected.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    for name in arguments.names or table:
        if name not in table:
            parser.error(f"there is no '{name}'; expected some of {', '.join(table)}")
        if not (arguments.missing and (FOLDER / f"{name}.csv").exists()):
            (train_ours if name in OURS else train_keras)(name)


if __name__ == "__main__":
    main()
