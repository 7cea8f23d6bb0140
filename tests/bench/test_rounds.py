"""Medians and ratios, the schedule, and which rounds count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.bench.rounds import Round, Turn, gather, quiet, rotated
from resnets.bench.spread import Spread, spread


def test_a_ratio_is_taken_round_by_round() -> None:
    ours, theirs = spread([200, 50, 210]), spread([100, 25, 70])
    ratio = ours.over(theirs)
    assert ratio.values == (2, 2, 3)
    assert (ratio.median, ratio.least, ratio.most) == (2, 2, 3)
    # The ratio of the medians would not be paired: 200 / 70.
    assert ratio.median != pytest.approx(ours.median / theirs.median)
    assert ratio.to_json() == {"median": 2, "least": 2, "most": 3, "n": 3, "values": [2, 2, 3]}


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Spread((1.0, 2.0)).over(Spread((1.0,)))
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_everyone_comes_after_everyone() -> None:
    names = ["a", "b", "c", "d"]
    orders = [rotated(names, number) for number in range(8)]
    assert all(sorted(order) == names for order in orders)
    assert {order[0] for order in orders[:4]} == set(names)
    assert orders[:4] == orders[4:]
    assert rotated([], 3) == []


def a_round(share: float = 1.9, probe: float = 100.0, probe_share: float | None = 2.0) -> Round:
    """A row that uses two processors, and the probe."""
    return {"row": Turn(10.0, share), "limit": Turn(probe, probe_share, probe=True)}


def test_a_taken_processor_shows_in_the_share() -> None:
    scores = quiet([a_round(), a_round(1.4), a_round(1.85)])
    assert [score >= 1 for score in scores] == [True, False, True]


def test_a_slower_machine_shows_in_the_probe() -> None:
    scores = quiet([a_round(probe=p) for p in (100, 101, 70, 99)])
    assert [score >= 1 for score in scores] == [True, True, False, True]


def test_a_machine_that_is_never_quiet_shows_in_the_probes_share() -> None:
    assert all(score < 1 for score in quiet([a_round(0.3, probe_share=0.4)] * 3))
    assert all(score >= 1 for score in quiet([a_round(0.3, probe_share=0.99)] * 3))


def test_a_gpus_turns_tell_by_the_probe_alone() -> None:
    rounds = [{"row": Turn(9.0), "limit": Turn(p, None, probe=True)} for p in (5.0, 5.0, 1.0)]
    assert [score >= 1 for score in quiet(rounds)] == [True, True, False]
    assert quiet([{"row": Turn(9.0)}]) == [1.0]


def test_a_disturbed_round_is_repeated() -> None:
    planned = iter([a_round(), a_round(0.9), a_round(), a_round(probe=20), a_round()])
    taken: list[int] = []

    def take(number: int) -> Round:
        taken.append(number)
        return next(planned)

    found = gather(take, 3)
    assert taken == [0, 1, 2, 3, 4]
    assert (len(found.kept), found.discarded, found.disturbed) == (3, 2, 0)
    assert all(one["row"].share == 1.9 and one["limit"].rate == 100 for one in found.kept)


def test_first_rounds_are_judged_anew_by_what_comes_later() -> None:
    planned = iter([a_round(0.9), a_round(0.9), *[a_round()] * 4])
    found = gather(lambda _: next(planned), 3)
    assert (found.discarded, found.disturbed) == (2, 0)
    assert [one["row"].share for one in found.kept] == [1.9] * 3


def test_it_ends_where_the_machine_is_never_quiet() -> None:
    shares = iter([0.5, 1.9, 0.6, 0.9, 0.4, 0.3])
    found = gather(lambda _: a_round(next(shares)), 3)
    assert found.discarded == 3 and found.disturbed == 2
    assert [one["row"].share for one in found.kept] == [1.9, 0.6, 0.9]


@given(st.lists(st.booleans(), min_size=40, max_size=40), st.integers(3, 9))
def test_what_is_kept(disturbed: list[bool], wanted: int) -> None:
    plan = iter(disturbed)
    found = gather(lambda _: a_round(0.5 if next(plan) else 1.9), wanted)
    taken = disturbed[: wanted + found.discarded]
    assert len(found.kept) == wanted and len(taken) <= 2 * wanted
    if all(taken):  # nothing quiet was seen to compare with
        assert found.discarded == 0
    else:
        kept = [one["row"].share == 0.5 for one in found.kept]
        assert sum(kept) == found.disturbed == max(wanted - taken.count(False), 0)
