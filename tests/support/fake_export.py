"""An export without the processes that convert and answer."""

import numpy as np

from fmnist.export import exporter


class Fake:
    """Stands for the other processes: writes what `content` says, and answers with Keras's probabilities."""

    def __init__(self, monkeypatch, dataset, wrong=0, fail=None):
        self.calls, self.fail = [], fail
        self.keras = np.eye(dataset.num_classes, dtype=np.float32)[dataset.test_labels]
        self.changed = self.keras.copy()
        self.changed[:wrong] = np.roll(self.changed[:wrong], 1, axis=1)
        monkeypatch.setattr(exporter, "call", self)

    def __call__(self, function, what, arrays=None, *, backend=None, **values):
        self.calls.append((function, values))
        if function.endswith("answer"):
            ours = values["path"].endswith(("tiny/model.keras", "calibrated.keras"))
            return {}, {"probabilities": self.keras if ours else self.changed}
        if function.endswith("fold"):
            return {}, {}
        with open(values["target"], "wb") as file:
            file.write(b"half of")
        if self.fail:
            raise self.fail
        return {}, {}
