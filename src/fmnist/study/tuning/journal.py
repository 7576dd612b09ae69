"""Keeps a sweep's trials where Optuna does: asks it which values to try next, and tells it what came of them.

Optuna's journal is a file of the sweep's folder, or a database. A trial that was asked for and not told belongs to a
driver that was stopped or killed; the next one goes on with it. So nothing is lost, and nothing is tried twice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.config import Range, Search, kinds, leaf_type
from fmnist.errors import RunError, first_line
from fmnist.run.history import History

if TYPE_CHECKING:
    import optuna

FILE = "journal.log"
RUNNING, FINISHED, STOPPED, DIVERGED, REFUSED = "running", "finished", "stopped early", "diverged", "refused"
# Trials whose values are drawn at random before the others are modelled; Optuna's own default is 10.
RANDOM_TRIALS = 6
FEWEST_FOR_IMPORTANCE = 8


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial of a sweep.

    Attributes:
        number: from 0 on.
        values: what it tries, by setting.
        outcome: `RUNNING`, also where its driver was killed, `FINISHED`, `STOPPED`, `DIVERGED` or `REFUSED`.
        losses: its validation loss by epoch, in nats.
        loss: what it is judged by, the loss of its model; only where it is finished.
        note: why it diverged or was refused.
        key: Optuna's number for it.
    """

    number: int
    values: Mapping[str, Any]
    outcome: str
    losses: Mapping[int, float]
    loss: float | None
    note: str
    key: int

    @property
    def name(self) -> str:
        """Of its run directory."""
        return name_of(self.number)


def name_of(number: int) -> str:
    """Return the name of a trial's run directory."""
    return f"trial-{number:03d}"


class Journal:
    """The trials of one sweep. Only one process may write; others may read, such as Optuna's dashboard."""

    def __init__(self, folder: Path, name: str, space: Mapping[str, Search], seed: int, storage: str | None) -> None:
        """Open the journal, or begin it.

        Args:
            folder: the sweep's; its lock is held.
            name: under which Optuna keeps it.
            space: what is searched.
            seed: together with a trial's number it decides what is drawn.
            storage: the address of a database in place of a file, as SQLAlchemy writes it.

        Raises:
            RunError: Optuna, or what the database needs, is not installed; or the database does not answer.
        """
        optuna = load_optuna()
        self._space, self._seed = space, seed
        self._storage = _database(storage) if storage else _file(folder / FILE)
        self._study = optuna.create_study(storage=self._storage, study_name=name, load_if_exists=True)
        self._id = self._storage.get_study_id_from_name(name)

    def close(self) -> None:
        """Let go of the connections to a database."""
        if engine := getattr(self._storage, "engine", None):
            self._storage.remove_session()
            engine.dispose()

    def trials(self) -> list[Trial]:
        """Return all trials, by their numbers."""
        return [self._trial(found) for found in self._study.get_trials(deepcopy=False) if "trial" in found.user_attrs]

    def over(self) -> list[Trial]:
        """Return those that are closed."""
        return [trial for trial in self.trials() if trial.outcome != RUNNING]

    def ask(self, first: Mapping[str, Any]) -> Trial:
        """Return a new trial; the very first one has the values `first`, where they lie within the ranges.

        What it tries is a function of the seed, its number and the trials that were told before.
        """
        import optuna

        number, states = len(self.trials()), optuna.trial.TrialState
        for half_asked in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if "trial" not in half_asked.user_attrs:  # killed between a question and its answer
                self._study.tell(half_asked.number, state=states.FAIL)
        if number == 0 and not self._study.get_trials(deepcopy=False, states=(states.WAITING,)):
            self._study.enqueue_trial(_within(first, self._space))
        drawn = np.random.SeedSequence((self._seed, number)).generate_state(1)
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_TRIALS, seed=int(drawn[0]), constant_liar=True
        )
        asked = self._study.ask({name: _distribution(name, search) for name, search in self._space.items()})
        asked.set_user_attr("trial", number)
        return self._trial(self._study.get_trials(deepcopy=False)[asked.number])

    def record(self, trial: Trial, history: History) -> None:
        """Keep the validation losses of a trial's history, as far as they are not kept yet."""
        known = self._study.get_trials(deepcopy=False)[trial.key].intermediate_values
        for row in history:
            if int(row["epoch"]) not in known and "val_loss" in row:
                self._storage.set_trial_intermediate_value(self._key(trial), int(row["epoch"]), row["val_loss"])

    def tell(self, trial: Trial, outcome: str, loss: float | None = None, note: str = "") -> None:
        """Close a trial; one that is not finished counts as worse than all that got further."""
        import optuna

        for name, value in {"outcome": outcome, "note": note}.items():
            self._storage.set_trial_user_attr(self._key(trial), name, value)
        states = optuna.trial.TrialState
        self._study.tell(trial.key, loss, state=states.COMPLETE if outcome == FINISHED else states.PRUNED)

    def importance(self) -> tuple[int, dict[str, float]]:
        """Return each setting's share (0 to 1) of the variance of the loss, the largest first, and after which epoch.

        That is the last epoch which all trials reached: so those that were stopped count, too. Empty with few trials.
        Source: F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance",
        ICML 2014 (fANOVA).
        """
        import optuna

        known = [trial for trial in self._study.get_trials(deepcopy=False) if trial.intermediate_values]
        epoch = min((max(trial.intermediate_values) for trial in known), default=0)
        losses = [trial.intermediate_values.get(epoch) for trial in known]
        if len({*losses} - {None}) < FEWEST_FOR_IMPORTANCE:
            return epoch, {}
        study = optuna.create_study()
        for trial, loss in zip(known, losses, strict=True):
            what = {"params": trial.params, "distributions": trial.distributions}
            study.add_trial(optuna.create_trial(value=loss, **what))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return epoch, dict(optuna.importance.get_param_importances(study, evaluator=evaluator))

    def _key(self, trial: Trial) -> int:
        """Return the key of a trial in the storage, which counts the trials of all studies."""
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.key))

    def _trial(self, found: optuna.trial.FrozenTrial) -> Trial:
        values = {name: _value(self._space[name], value) for name, value in found.params.items()}
        # Closed last: what is noted as finished and not closed was its driver's last act.
        outcome = found.user_attrs.get("outcome", RUNNING) if found.state.is_finished() else RUNNING
        loss = found.value if outcome == FINISHED else None
        losses = dict(sorted(found.intermediate_values.items()))
        return Trial(
            found.user_attrs["trial"], values, outcome, losses, loss, found.user_attrs.get("note", ""), found.number
        )


def check_installed() -> None:
    """Raise a `RunError` where Optuna is not installed."""
    for name in ("optuna", "sklearn"):
        if importlib.util.find_spec(name) is None:
            raise RunError(f"a search needs '{name}', which is not installed; pip install 'fmnist[tune]'")


def load_optuna() -> Any:
    """Import Optuna, and let it be silent.

    Raises:
        RunError: it is not installed.
    """
    check_installed()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _file(path: Path) -> Any:
    """Return the storage in a file. What a killed writer left unfinished is cut off."""
    from filelock import FileLock
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if path.is_file():
        with open(path, "r+b") as handle:
            content = handle.read()
            handle.truncate(content.rfind(b"\n") + 1)
    # Optuna's own lock is a file that a killed process leaves behind; this one the kernel lets go.
    return JournalStorage(JournalFileBackend(str(path), lock_obj=FileLock(path.with_suffix(".lock"))))


def _database(address: str) -> Any:
    """Return the storage in a database."""
    from optuna.storages import RDBStorage

    try:
        return RDBStorage(address.replace("postgresql://", "postgresql+psycopg://", 1))
    except ImportError as error:
        raise RunError(f"{first_line(error)} For PostgreSQL: pip install 'fmnist[postgresql]'") from error
    except Exception as error:  # SQLAlchemy and drivers have errors of many kinds
        raise RunError(f"the database cannot be used: {first_line(error)}") from error


def _distribution(name: str, search: Search) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if not isinstance(search, Range):
        return distributions.CategoricalDistribution([_label(value) for value in search])
    if float in kinds(leaf_type(name))[0]:
        return distributions.FloatDistribution(search.low, search.high, log=search.log)
    return distributions.IntDistribution(int(search.low), int(search.high), log=search.log)


def _label(value: Any) -> Any:
    """Return how Optuna keeps a choice: it takes numbers and text, and no lists."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _value(search: Search, label: Any) -> Any:
    """Return a trial's value from how Optuna keeps it; numbers have three digits, so that a command tells them all."""
    if isinstance(search, Range):
        return float(f"{label:.3g}") if isinstance(label, float) else label
    return next(value for value in search if _label(value) == label)


def _within(values: Mapping[str, Any], space: Mapping[str, Search]) -> dict[str, Any]:
    """Return the values to try first: moved to the nearest end of a range, left out where they are none of the choices.

    A weight decay of 0 becomes the smallest that is searched.
    """
    first: dict[str, Any] = {}
    for name, search in space.items():
        value = values[name]
        if not isinstance(search, Range):
            first |= {name: _label(value)} if value in search else {}
        elif isinstance(value, int | float):
            nearest = min(max(value, search.low), search.high)
            first[name] = nearest if float in kinds(leaf_type(name))[0] else int(nearest)
    return first
