"""Numbers as people read them: each rule, and each of its edges."""

import math

import pytest

from fmnist import text


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [
        (0.9152, 1, "91.5%"),
        (0.9152, 2, "91.52%"),
        (0.5, 0, "50%"),
        (0, 1, "0.0%"),
        (1, 1, "100.0%"),
        (0.99996, 2, ">99.99%"),
        (0.99994, 2, "99.99%"),
        (0.996, 0, ">99%"),
        (0.0004, 1, "<0.1%"),
        (0.0006, 1, "0.1%"),
        (math.nextafter(1, 0), 2, ">99.99%"),
        (-0.012, 1, "\N{MINUS SIGN}1.2%"),
        (12.5, 0, "1,250%"),
    ],
)
def test_a_percentage_is_all_or_nothing_only_if_the_share_is(share, digits, told):
    assert text.percent(share, digits) == told


@pytest.mark.parametrize(
    ("value", "digits", "sign", "told"),
    [
        (1.25, 1, True, "+1.2"),
        (-1.25, 1, False, "\N{MINUS SIGN}1.2"),
        (-0.04, 1, True, "0.0"),
        (0.04, 1, True, "0.0"),
        (356_234, 0, False, "356,234"),
    ],
)
def test_numbers_have_a_true_minus_and_no_signed_zero(value, digits, sign, told):
    assert text.number(value, digits, sign=sign) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 s"),
        (4.26, "4.3 s"),
        (9.96, "10 s"),
        (75, "75 s"),
        (99.6, "2 min"),
        (600, "10 min"),
        (3599, "1 h 0 min"),
        (7260, "2 h 1 min"),
        (3_600_000, "1,000 h 0 min"),
    ],
)
def test_durations(seconds, told):
    assert text.duration(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 kB"), (861_500, "862 kB"), (1_655_006, "1,655 kB"), (6e7, "60 MB")])
def test_sizes(count, told):
    assert text.size(count) == told


def test_plurals():
    assert [text.plural(count, "epoch") for count in (0, 1, 2_000)] == ["0 epochs", "1 epoch", "2,000 epochs"]
    assert text.plural(2, "class", "classes") == "2 classes"


def test_a_list_tells_how_many_it_leaves_out_and_has_no_ellipsis_where_all_are_named():
    names = ("mug", "plate", "spoon", "fork")
    assert [text.some(names, most) for most in (3, 4, 5)] == [
        "mug, plate, spoon and 1 more",
        *["mug, plate, spoon, fork"] * 2,
    ]


def test_losses_and_names():
    assert [text.loss(value) for value in (0.28349, 2302.585, 3e12)] == ["0.283", "2,303", "3.0e+12"]
    assert [text.shorten("Ankle boot", length) for length in (10, 7, 1)] == ["Ankle boot", "Ankle…", "…"]


def test_a_command_is_html_word_by_word():
    told = text.command_html('fmnist train --data-dir "a <b>"')
    words = ("fmnist", "train", "--data-dir", "&quot;a", "&lt;b&gt;&quot;")
    assert told == " ".join(f"<span>{word}</span>" for word in words)
