"""Says which trials of a sweep fall behind the others, from their validation losses alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from fmnist.study.tuning.journal import Trial, load_optuna


class Referee:
    """Successive halving, as trials come one after another.

    A trial goes on where its validation loss belongs to the better half of all that got to the same epoch: a quarter of
    the run, a half. What it says follows from the losses alone, in the order in which it hears of them.
    Source: L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020 (ASHA).
    """

    def __init__(self, epochs: int, told: Sequence[Trial]) -> None:
        """Begin with what earlier trials reached, each of so many planned epochs."""
        optuna = load_optuna()
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, epochs // 4), reduction_factor=2)
        self._study, self._epochs = optuna.create_study(pruner=pruner), epochs
        self._heard: dict[int, Any] = {}
        for trial in told:
            self.falls_behind(trial, trial.losses)

    def falls_behind(self, trial: Trial, losses: Mapping[int, float]) -> bool:
        """Hear a trial's validation losses by epoch, in order, and say whether it is not worth going on."""
        if trial.number not in self._heard:
            self._heard[trial.number] = self._study.ask()
        own = self._heard[trial.number]
        heard = self._study.get_trials(deepcopy=False)[own.number].intermediate_values
        behind = False
        for epoch, loss in losses.items():
            if epoch not in heard and epoch < self._epochs:
                own.report(loss, epoch)
                behind = own.should_prune()
        return behind
