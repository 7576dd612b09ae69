"""When to stop, on crafted histories."""

import pytest

from fmnist.run.history import best_epoch, is_over


def history(*losses):
    return [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "best"), [((3.0,), 1), ((3.0, 2.0, 1.0), 3), ((3.0, 1.0, 2.0, 1.0), 2), ((1.0, 1.0), 1)]
)
def test_the_first_of_the_lowest_is_the_best(losses, best):
    assert best_epoch(history(*losses)) == best


def test_without_validation_there_is_no_best():
    assert best_epoch([]) is None
    assert best_epoch([{"epoch": 1, "train_loss": 1.0}]) is None
    assert not is_over([{"epoch": 1, "train_loss": 1.0}], 1)


@pytest.mark.parametrize(
    ("losses", "patience", "over"),
    [
        ((), 1, False),
        ((3.0,), 1, False),
        ((3.0, 4.0), 1, True),
        ((3.0, 3.0), 1, True),  # an equal one is no lower one
        ((3.0, 4.0), 2, False),
        ((3.0, 4.0, 5.0), 2, True),
        ((3.0, 4.0, 2.9, 5.0), 2, False),  # the counter starts anew
        ((3.0, 4.0, 5.0, 6.0), 0, False),
    ],
)
def test_patience_ends_after_as_many_epochs_without_a_lower_loss(losses, patience, over):
    assert is_over(history(*losses), patience) is over
