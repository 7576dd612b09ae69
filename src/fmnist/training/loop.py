"""The training recipe, top to bottom. Knows nothing of terminals: a `Watcher` is told what happens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from fmnist import backend, models
from fmnist.config import Config
from fmnist.data import Dataset
from fmnist.errors import RunError
from fmnist.models import pretrained
from fmnist.run import checkpoints
from fmnist.run.directory import RunDirectory, atomic_path
from fmnist.run.history import best_epoch, is_over, write_history
from fmnist.training import cached_outputs, distillation, optimizers, time_budget
from fmnist.training import phase as stages
from fmnist.training.progress import Progress, Watcher, write_status

# Seconds after which the next segment, or an epoch's measuring, ends in a checkpoint. What a killed run can lose is
# this and one segment; saving takes about 0.05 s.
CHECKPOINT_SECONDS = 30.0
# So that a segment of large batches takes seconds too: at 1 ms an image, a large network on two cores, it takes 6.4 s.
MAX_SEGMENT_IMAGES = 6_400


class Interrupted(Exception):
    """Training stopped because it was asked to; what was done is saved."""


def train(
    config: Config,
    dataset: Dataset,
    run: RunDirectory,
    *,
    watcher: Watcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    teacher: Callable[[np.ndarray], np.ndarray] | None = None,
) -> keras.Model:
    """Train as `config` says, write the run directory, and return the final model (uint8 in, probabilities out).

    The data of an epoch depends on (seed, epoch) alone and training advances in segments of a fixed number of steps,
    so a run that goes on from a checkpoint does what it would have done. When resuming, everything comes from the
    checkpoint: weights, optimizer, the layers' random states, history, counters and the best weights; nothing is taken
    from elsewhere. Early stopping looks at the history alone. It ends a run; it doesn't shorten the schedule, which
    goes on towards the planned number of epochs, so that a triangle's run that is stopped never takes its small steps.

    Args:
        config: every setting; for a resumed run the one it was started with.
        dataset: images and labels; only the training part is looked at.
        run: where to write. The caller holds its lock.
        watcher: is told what happens.
        should_stop: asked after each segment; if it says True, a checkpoint is saved and `Interrupted` raised.
        resume: go on after the newest whole checkpoint, or where none was written yet, from the start.
        teacher: from images, uint8 (N, H, W), to the probabilities, float32 (N, classes), that are learnt as well.

    Raises:
        Interrupted: `should_stop` said so.
        RunError: the loss is not finite, the disk is full, or every checkpoint is damaged.
    """
    watcher = watcher or Watcher()
    started = time.monotonic()
    recipe, frozen_epochs = config.training, config.transfer.frozen_epochs
    examples = stages.split(config, dataset)
    one_hot = keras.utils.to_categorical(examples.train_labels, dataset.num_classes)
    steps = math.ceil(len(examples.train) / recipe.batch_size)
    segment = min(config.engine.segment_steps, max(1, MAX_SEGMENT_IMAGES // recipe.batch_size))

    # Keras's layers draw their first weights from this one global seed.
    keras.utils.set_random_seed(recipe.seed)
    with backend.arithmetic(config.engine):
        model = models.build(config.model, dataset.image_shape, dataset.num_classes, logits=True)
    models.initialize(model, config.model, examples.train)
    # What is saved in the end is what is measured after each epoch.
    final = models.build(config.model, dataset.image_shape, dataset.num_classes)
    watcher.network(model)

    progress = Progress(epochs=1 if recipe.time_budget else recipe.epochs)
    stored: list[np.ndarray] = []
    variables = model.variables  # the layers' random states included
    if resume and not checkpoints.complete(run.checkpoints):
        watcher.note("The run ended before its first checkpoint; it starts again")
    if resume and checkpoints.complete(run.checkpoints):
        progress, stored = _restore(run, variables, watcher)
    elif source := pretrained.load(model, config, dataset.class_names):
        watcher.note(source)
    final.set_weights(model.get_weights())
    spent = time.monotonic() - started + progress.spent()
    pace = time_budget.Pace(recipe.time_budget, spent) if recipe.time_budget else None
    if progress.epoch < frozen_epochs:
        watcher.note("The last layer is trained first, on features of the images that are computed once")
        begun = stages.last_layer(model, final, examples, config, run, should_stop)
    else:
        begun = stages.whole(model, final, examples, config)
    taught = None
    if teacher:
        watcher.note("The teacher answers for each training image, once")
        asked = distillation.images_to_ask_for(examples.train, teacher, mirrored=config.augmentation.flip)
        taught = cached_outputs.kept(run.teacher, teacher, asked, (dataset.num_classes,), should_stop)
    if begun is None or (teacher and taught is None):
        if not checkpoints.complete(run.checkpoints):
            _save(run, variables, [], progress, steps, "interrupted")
        raise Interrupted
    answers = (
        None
        if taught is None
        else distillation.answers(taught, len(examples.train), config.distillation.distillation_temperature)
    )
    stage = begun
    best = _continue(stage, stored, run)  # early stopping: the weights of the best epoch so far

    def save(state: str, model_epoch: int | None = None) -> None:
        arrays = [*variables, *stage.optimizer.variables]
        _save(run, arrays, [*stage.average, *best], progress, steps, state, model_epoch)

    watcher.start(progress, steps)
    saved_at = time.monotonic()

    while progress.epoch < progress.epochs and not is_over(progress.history, recipe.early_stopping):
        if stage.first != frozen_epochs == progress.epoch:
            stage = stages.whole(model, final, examples, config)
            cached_outputs.forget(run.features)
            watcher.note(f"From epoch {progress.epoch + 1} on {stage.num_trained():,} weights are trained")
            if pace:
                pace.forget()
        clock = time.monotonic() - progress.seconds
        more = progress.epoch + 1 not in (frozen_epochs, progress.epochs)
        epoch = stage.epochs.take(progress.epoch, more=more)
        targets = epoch.targets(one_hot)
        if answers:
            targets = np.concatenate([targets, epoch.targets(*answers)], axis=1)
        while progress.step < steps:
            last = min(progress.step + segment, steps)
            part = slice(progress.step * recipe.batch_size, last * recipe.batch_size)
            middle = progress.epoch - stage.first + (progress.step + last) / 2 / steps
            done = pace.done() if pace else middle / (progress.epochs - stage.first)
            stage.optimizer.learning_rate = optimizers.learning_rate(stage.recipe, done)
            result = stage.advance(epoch.images[part], targets[part], progress.epoch * steps + last)
            progress.count(result, last, len(targets[part]))
            progress.seconds = time.monotonic() - clock
            if pace:
                pace.after_steps(progress.epoch * steps + progress.step)
                progress.epochs = time_budget.plan(progress, pace, steps, config, watcher)
            watcher.segment(progress)
            if should_stop():
                save("interrupted")
                raise Interrupted
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                save("running")
                saved_at = time.monotonic()
            if pace and pace.over():
                break

        measured_at = time.monotonic()
        row = {
            "epoch": progress.epoch + 1,
            "learning_rate": float(ops.convert_to_numpy(stage.optimizer.learning_rate)),
            "loss": progress.mean("loss"),
            "accuracy": progress.mean("accuracy"),
            **stage.measure(),
            "seconds": time.monotonic() - clock,
        }
        progress.check_finite(row)
        progress = Progress(epochs=progress.epochs, epoch=progress.epoch + 1, history=[*progress.history, row])
        if recipe.early_stopping and best_epoch(progress.history) == progress.epoch:
            best = final.get_weights()
        write_history(run.history, progress.history)
        watcher.epoch(row)
        if pace:
            # Asked before a measuring shorter than its guess gives time back: the learning rate is at zero by now.
            over = pace.over()
            pace.after_epoch(time.monotonic() - measured_at)
            progress.epochs = progress.epoch + int(pace.worth_another() and not over)
        # Measuring takes time as well. Between two stages there is nothing to go on with.
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS and progress.epoch != frozen_epochs:
            save("running")
            saved_at = time.monotonic()

    if best:
        final.set_weights(best)
        watcher.note(
            f"{'Stopped after' if progress.epoch < progress.epochs else 'Done with'} epoch {progress.epoch}; the model "
            f"has the weights of epoch {best_epoch(progress.history)}, the best by validation loss"
        )
    else:
        stage.finish()
    with atomic_path(run.model) as temporary:
        final.save(temporary)
    cached_outputs.forget(run.features, run.teacher)
    save("finished", best_epoch(progress.history) if best else progress.epoch)
    return final


def _save(
    run: RunDirectory,
    variables: list[Any],
    kept: list[np.ndarray],
    progress: Progress,
    steps: int,
    state: str,
    model_epoch: int | None = None,
) -> None:
    """Write a checkpoint, of variables and of arrays kept beside them, then the status that goes with it."""
    step = progress.epoch * steps + progress.step
    arrays = [ops.convert_to_numpy(variable) for variable in variables]
    # A loss is that of the weights before a step: after the segment's last one they may be none any more.
    largest = (float(np.max(np.abs(array), initial=0)) for array in arrays)
    progress.check_finite(dict(zip((variable.path for variable in variables), largest, strict=True)))
    checkpoints.save(run.checkpoints, step, [*arrays, *kept], asdict(progress))
    write_status(run, state, progress, step, model_epoch)


def _restore(run: RunDirectory, variables: list[Any], watcher: Watcher) -> tuple[Progress, list[np.ndarray]]:
    """Put the newest whole checkpoint into the network; return where it stood, and the arrays that are left."""
    arrays, state, problems = checkpoints.load_latest(run.checkpoints)
    for problem in problems:
        watcher.note(f"{problem}; using the one before it")
    try:
        progress = Progress.from_state(state)
    except ValueError as error:
        raise RunError(f"the checkpoint in {run.checkpoints} cannot be used: {error}") from error
    return progress, _assign(variables, arrays, run)


def _continue(stage: stages.Stage, stored: list[np.ndarray], run: RunDirectory) -> list[np.ndarray]:
    """Put what a checkpoint holds besides the network into the stage; return the best weights, if any."""
    if stored:
        stored = _assign(stage.optimizer.variables, stored, run)
        count = len(stage.average)
        stage.average, stored = stored[:count], stored[count:]
    return stored


def _assign(variables: list[Any], arrays: list[np.ndarray], run: RunDirectory) -> list[np.ndarray]:
    """Set variables to the first of the arrays; return the others."""
    own, others = arrays[: len(variables)], arrays[len(variables) :]
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in own]:
        raise RunError(
            f"the checkpoint in {run.checkpoints} was made for another network; start again with --overwrite"
        )
    for variable, array in zip(variables, own, strict=True):
        variable.assign(array)
    return others
