"""The training recipe, top to bottom. Knows nothing of terminals: a `Watcher` is told what happens."""

import math
from collections.abc import Callable

import keras
import numpy as np

from fmnist import backend, models
from fmnist.config import Config
from fmnist.data import decisions
from fmnist.data.dataset import Dataset
from fmnist.errors import LostPeer
from fmnist.models import pretrained
from fmnist.run.directory import RunDirectory, atomic_path, write_json
from fmnist.run.history import best_epoch, is_over, write_history
from fmnist.training import cached_outputs, distillation, weighting
from fmnist.training.phase import Examples, head_features, phases, split
from fmnist.training.progress import Interrupted, Watcher
from fmnist.training.state import TrainingState
from fmnist.training.time_budget import length_of

# So that a segment of large batches takes seconds too: at 1 ms an image, a large network on two cores, it takes 6.4 s.
MAX_SEGMENT_IMAGES = 6_400


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
        run: where to write; its `decisions.csv` is obeyed, if it has one. The caller holds its lock.
        watcher: is told what happens.
        should_stop: asked after each segment; if it says True, a checkpoint is saved and `Interrupted` raised.
        resume: go on after the newest whole checkpoint, or where none was written yet, from the start.
        teacher: from images, uint8 (N, H, W, C), to the probabilities, float32 (N, classes), that are learnt as well.

    Raises:
        Interrupted: `should_stop` said so, in any of the run's processes.
        LostPeer: another process of the run has ended; a checkpoint was saved.
        RunError: the loss is not finite, the disk is full, or every checkpoint is damaged.
    """
    watcher = watcher or Watcher()
    recipe, examples = config.training, split(config, dataset, decisions.of_run(run, dataset))
    steps = math.ceil(len(examples.train) / recipe.batch_size)
    segment = min(config.engine.segment_steps, max(1, MAX_SEGMENT_IMAGES // recipe.batch_size))
    length = length_of(config, steps, watcher)

    model, final = _networks(config, dataset, examples)
    watcher.network(model)
    if told := weighting.sentence(recipe.class_weights, examples.train_labels):
        watcher.note(told)
    state = TrainingState(run, model, steps, length.epochs)
    restored = resume and state.restore(watcher)
    if not restored and (source := pretrained.load(model, config, dataset.class_names)):
        watcher.note(source)
    final.set_weights(model.get_weights())
    began = [state.progress.epoch, state.progress.step, *(weight.tobytes() for weight in model.get_weights())]
    backend.check_same(settings=config.to_dict(), data=dataset.sha256, checkpoints=began)
    length.begin(state.progress)

    def finished() -> bool:
        progress = state.progress
        return progress.epoch >= progress.epochs or is_over(progress.history, recipe.early_stopping)

    try:
        features = None
        if state.progress.epoch < config.transfer.frozen_epochs:
            features = head_features(final, examples, run, watcher, should_stop)
        labels = keras.utils.to_categorical(examples.train_labels, dataset.num_classes)
        targets = distillation.targets(labels, examples.train, teacher, config, run, watcher, should_stop)
        watcher.start(state.progress, steps)
        for phase in phases(model, final, examples, features, targets, config, watcher):
            state.enter(phase)
            length.begin_phase()
            while state.progress.epoch < phase.end and not finished():
                progress = state.progress
                clock = backend.clock() - progress.seconds
                more = progress.epoch + 1 < min(phase.end, progress.epochs)
                images, wanted = phase.epoch(progress.epoch, more=more)
                while progress.step < steps:
                    last = min(progress.step + segment, steps)
                    part = slice(progress.step * recipe.batch_size, last * recipe.batch_size)
                    phase.set_learning_rate(length.share_done(progress, last, phase.first))
                    result = phase.advance(images[part], wanted[part], progress.epoch * steps + last)
                    progress.count(result, last, len(wanted[part]))
                    progress.seconds = backend.clock() - clock
                    length.after_steps(progress)
                    watcher.segment(progress)
                    if backend.any_of_all(should_stop()):
                        raise Interrupted
                    state.save_if_due()
                    if length.is_over():
                        break

                measured_at = backend.clock()
                measured = backend.of_first(phase.measure())
                row = progress.row(phase.learning_rate(), measured, seconds=backend.clock() - clock)
                state.add_epoch(row)
                if recipe.early_stopping:
                    state.keep_if_best(final)
                write_history(run.history, state.progress.history)
                if progress.epoch == 0:
                    write_json(run.first_epoch, {"segments": progress.segments})
                watcher.epoch(row)
                length.after_epoch(state.progress, backend.clock() - measured_at)
                if state.progress.epoch < phase.end:  # between two phases there is nothing to go on with
                    state.save_if_due()
            if finished():
                break
            cached_outputs.forget(run.features)  # no later phase needs them
    except (Interrupted, LostPeer):
        state.save("interrupted")
        raise

    model_epoch = state.progress.epoch
    if state.best:
        model_epoch = _take_best(state, final, watcher)
    else:
        phase.finish()
    with atomic_path(run.model) as temporary:
        final.save(temporary)
    write_history(run.history, state.progress.history)  # where a run is resumed that lost it
    cached_outputs.forget(run.features, run.teacher)
    state.save("finished", model_epoch)
    return final


def _networks(config: Config, dataset: Dataset, examples: Examples) -> tuple[keras.Model, keras.Model]:
    """Return the network that is trained, which gives logits, and the one that is measured and saved."""
    # Keras's layers draw their first weights from this one global seed.
    keras.utils.set_random_seed(config.training.seed)
    shape, classes = dataset.image_shape, dataset.num_classes
    with backend.arithmetic(config.engine):
        model = models.build(config.model, shape, classes, logits=True)
    models.initialize(model, config.model, examples.train)
    return model, models.build(config.model, shape, classes)


def _take_best(state: TrainingState, final: keras.Model, watcher: Watcher) -> int:
    """Give the network that is saved the weights of the best epoch, and return that epoch."""
    progress, best = state.progress, best_epoch(state.progress.history) or state.progress.epoch
    final.set_weights(state.best)
    watcher.note(
        f"{'Stopped after' if progress.epoch < progress.epochs else 'Done with'} epoch {progress.epoch}; the model has "
        f"the weights of epoch {best}, the best by validation loss"
    )
    return best
