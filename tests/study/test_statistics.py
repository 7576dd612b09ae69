"""Means, paired differences and intervals: against numbers worked out by hand, and by how often they hold."""

import math

import numpy as np
import pytest

from fmnist.study.statistics import Difference, crossed, paired, student_quantile, summarize


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (1.5, 6.0167), (1e6, 1.9600)]
)
def test_students_t_is_that_of_the_tables(degrees, expected):
    assert student_quantile(degrees) == pytest.approx(expected, rel=2e-4)


def test_a_summary():
    found = summarize([0.90, 0.92, 0.94])
    assert (found.mean, found.n) == (pytest.approx(0.92), 3) and found.sd == pytest.approx(0.02)
    assert summarize([5.0]).sd is None and summarize([]) is None


def test_pairs_leave_out_what_both_have_in_common():
    """Differences 1, 2 and 3: mean 2, standard deviation 1, so that the margin is 4.3027 / √3."""
    found = paired([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert found.mean == pytest.approx(2) and found.margin == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert not found.measurable() and paired([11.0, 21.1, 31.2], [10.0, 20.0, 30.0]).measurable()
    assert paired([3.0], [1.0]) == Difference(2.0, None, 1) and paired([], []) is None


def test_a_crossed_table_by_hand():
    """Two seeds, two images, differences 0, 1, 2 and 5.

    The mean is 2; seeds have the means 0.5 and 3.5, images 1 and 3. Mean squares: seeds 2·(1.5² + 1.5²) = 9, images
    2·(1 + 1) = 4, residual (0.5² · 4) = 1. Variance of the mean (9 + 4 - 1) / 4 = 3, degrees of freedom
    12² / (9² + 4² + 1²) = 144 / 98.
    """
    found = crossed(np.array([[0.0, 1.0], [2.0, 5.0]]))
    assert found.mean == 2
    assert found.margin == pytest.approx(student_quantile(144 / 98) * math.sqrt(3))


def test_how_many_seeds_would_tell():
    """Differences with standard deviation 1 and mean 1: the margin is below 1 from 7 seeds on (2.4469 / √7 = 0.92).

    6 have 2.5706 / √6 = 1.05. With mean 0 and a difference of 1 worth having, the same 7 show that there is none; what
    one more seed does not make smaller, the images' part, can hide anything for good.
    """
    assert Difference(1.0, 9.0, 2, 1.0).seeds_to_tell(0.0, 100) == 7
    assert Difference(0.0, 9.0, 2, 1.0).seeds_to_tell(1.0, 100) == 7
    assert Difference(1.0, 9.0, 2, 1.0, image_variance=1.0).seeds_to_tell(0.5, 100) is None
    assert Difference(0.0, 9.0, 2, 1.0).seeds_to_tell(0.0, 100) is None
    assert Difference(1.0, None, 1).seeds_to_tell(0.5, 100) is None
    found = crossed(np.array([[0.0, 1.0], [2.0, 5.0]]))  # as worked out above: 9 and 4 - 1, over 2 · 2
    assert (found.seed_variance, found.image_variance) == (4.5, 0.75)
    assert paired([1.0, 3.0], [0.0, 0.0]).seed_variance == pytest.approx(2)


def test_one_seed_leaves_the_images():
    differences = np.array([[0.0, 0.0, 1.0, 0.0, 1.0]])
    expected = 2.7764 * np.std(differences, ddof=1) / math.sqrt(5)
    assert crossed(differences).margin == pytest.approx(expected, abs=1e-4)


def test_equal_differences_have_no_margin():
    assert crossed(np.zeros((3, 50))) == Difference(0.0, 0.0, 3)
    assert crossed(np.full((1, 50), 0.25)) == Difference(0.25, 0.0, 1)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [(0.1, 1.0, 1.0), (1.0, 1.0, 1.0), (0.03, 0.3, 1.0)])
def test_the_interval_holds_for_other_seeds_and_other_images(seeds, spread):
    """In 95% of 1,500 simulated studies, within what chance allows, or in more where seeds hardly differ."""
    rng, images, held = np.random.default_rng(seeds), 100, 0
    for _ in range(1500):
        of_seeds, of_images, rest = (
            rng.normal(0, size, shape)
            for size, shape in zip(spread, ((seeds, 1), (1, images), (seeds, images)), strict=True)
        )
        found = crossed(of_seeds + of_images + rest)
        held += abs(found.mean) <= found.margin
    assert 0.92 <= held / 1500 <= 1.0
