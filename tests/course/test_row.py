"""Facts and outcomes: what holds, what fails, and how they read."""

import math

import pytest

from tinygrad_course.course import Outcome, equal, within


def test_equal_compares_to_the_digit():
    assert equal("sizes", [55, 27], [55, 27]).holds
    fact = equal("parameters", 61_100_840, 61_100_841)
    assert not fact.holds
    assert str(fact) == "FAILS  parameters: 61100840 (expected 61100841)"


@pytest.mark.parametrize(("low", "high", "holds", "expected"), [
    (0.9, 1.0, True, "0.9 to 1"), (0.96, math.inf, False, "at least 0.96"), (-math.inf, 0.95, True, "at most 0.95"),
])
def test_within_bounds(low, high, holds, expected):
    fact = within("accuracy", 0.95, low, high)
    assert fact.holds == holds
    assert fact.expected == expected


def test_nan_is_outside_and_a_fact_without_bounds_is_refused():
    assert not within("loss", math.nan, high=1.0).holds
    with pytest.raises(ValueError, match="no bound"):
        within("loss", 1.0)


def test_an_outcome_holds_if_all_its_facts_do():
    right, wrong = equal("a", 1, 1), equal("b", 1, 2)
    assert Outcome([right]).holds
    assert not Outcome([right, wrong]).holds
