"""Trains the reference recipe as a tutorial does, in plain Keras with default settings: the baseline for our times.

    python benchmarks/plain_keras.py --epochs 20

Prints one JSON object: seconds of each epoch and scores. Only the data is read by our own code, since
`keras.datasets` wants to download it.
"""

import argparse
import json
import time

STARTED = time.perf_counter()

import keras  # noqa: E402
from keras import layers  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from fmnist import load_dataset  # noqa: E402


class Stopwatch(keras.callbacks.Callback):
    """Notes how long each epoch takes, its validation included."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(round(time.perf_counter() - self.started, 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)

    dataset = load_dataset()
    train_images = dataset.train_images.reshape(-1, 28, 28, 1).astype("float32") / 255
    test_images = dataset.test_images.reshape(-1, 28, 28, 1).astype("float32") / 255
    train_labels = keras.utils.to_categorical(dataset.train_labels)
    test_labels = keras.utils.to_categorical(dataset.test_labels)
    train_images, val_images, train_labels, val_labels = train_test_split(
        train_images, train_labels, test_size=0.2, random_state=arguments.seed
    )

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="linear", padding="same"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.MaxPooling2D((2, 2), padding="same"),
            layers.Conv2D(64, (3, 3), activation="linear", padding="same"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.MaxPooling2D((2, 2), padding="same"),
            layers.Conv2D(128, (3, 3), activation="linear", padding="same"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.MaxPooling2D((2, 2), padding="same"),
            layers.Flatten(),
            layers.Dense(128, activation="linear"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"])
    stopwatch = Stopwatch()
    history = model.fit(
        train_images,
        train_labels,
        batch_size=64,
        epochs=arguments.epochs,
        verbose=2,
        validation_data=(val_images, val_labels),
        callbacks=[stopwatch],
    ).history
    loss, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(
        json.dumps(
            {
                "epoch_seconds": stopwatch.seconds,
                "seconds": round(time.perf_counter() - STARTED, 2),
                "seed": arguments.seed,
                "parameters": model.count_params(),
                "train_accuracy": history["accuracy"][-1],
                "train_loss": history["loss"][-1],
                "val_accuracy": history["val_accuracy"][-1],
                "val_loss": history["val_loss"][-1],
                "test_accuracy": accuracy,
                "test_loss": loss,
            }
        )
    )


if __name__ == "__main__":
    main()
