"""Which rounds count."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quiet_rounds import QuietRounds, score_rounds
from resnets.bench.measurement import Round, Turn

ROW, PROBE = (0, "batch 128"), (1, "matrix fp32")


class Gathered:
    """The rounds that are kept of those that ``take`` gives, and the counts."""

    def __init__(self, take: Callable[[int], Round], wanted: int) -> None:
        quiet = QuietRounds([], [])
        self.kept, self.interrupted = quiet(take, wanted)
        (self.discarded,), (self.disturbed,) = quiet.set_aside, quiet.disturbed
        self.text = quiet.describe()


def a_round(share: float = 1.9, probe: float = 100.0, probe_share: float | None = 2.0) -> Round:
    """A row that uses two processors, and the probe."""
    return {ROW: Turn(10.0, share), PROBE: Turn(probe, probe_share)}


def test_a_taken_processor_shows_in_the_share() -> None:
    scores = score_rounds([a_round(), a_round(1.4), a_round(1.85)])
    assert [score >= 1 for score in scores] == [True, False, True]


def test_a_slower_machine_shows_in_the_probe() -> None:
    scores = score_rounds([a_round(probe=p) for p in (100, 101, 70, 99)])
    assert [score >= 1 for score in scores] == [True, True, False, True]


def test_a_machine_that_is_never_quiet_shows_in_the_probes_share() -> None:
    assert all(score < 1 for score in score_rounds([a_round(0.3, probe_share=0.4)] * 3))
    assert all(score >= 1 for score in score_rounds([a_round(0.3, probe_share=0.99)] * 3))


def test_a_gpus_turns_tell_by_the_probe_alone() -> None:
    rounds = [{ROW: Turn(9.0), PROBE: Turn(p)} for p in (5.0, 5.0, 1.0)]
    assert [score >= 1 for score in score_rounds(rounds)] == [True, True, False]
    assert score_rounds([{ROW: Turn(9.0)}]) == [1.0]


def test_a_disturbed_round_is_repeated() -> None:
    planned = iter([a_round(), a_round(0.9), a_round(), a_round(probe=20), a_round()])
    taken: list[int] = []

    def take(number: int) -> Round:
        taken.append(number)
        return next(planned)

    found = Gathered(take, 3)
    assert taken == [0, 1, 2, 3, 4]
    assert (len(found.kept), found.discarded, found.disturbed) == (3, 2, 0)
    assert all(one[ROW].processor_share == 1.9 and one[PROBE].rate == 100 for one in found.kept)


def test_first_rounds_are_judged_anew_by_what_comes_later() -> None:
    planned = iter([a_round(0.9), a_round(0.9), *[a_round()] * 4])
    found = Gathered(lambda _: next(planned), 3)
    assert (found.discarded, found.disturbed) == (2, 0)
    assert [one[ROW].processor_share for one in found.kept] == [1.9] * 3


def test_it_ends_where_the_machine_is_never_quiet() -> None:
    shares = iter([0.5, 1.9, 0.6, 0.9, 0.4, 0.3])
    found = Gathered(lambda _: a_round(next(shares)), 3)
    assert found.discarded == 3 and found.disturbed == 2
    assert [one[ROW].processor_share for one in found.kept] == [1.9, 0.6, 0.9]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.booleans(), min_size=40, max_size=40), st.integers(3, 9))
def test_what_is_kept(disturbed: list[bool], wanted: int) -> None:
    plan = iter(disturbed)
    found = Gathered(lambda _: a_round(0.5 if next(plan) else 1.9), wanted)
    taken = disturbed[: wanted + found.discarded]
    assert len(found.kept) == wanted and len(taken) <= 2 * wanted
    if all(taken):  # nothing quiet was seen to compare with
        assert found.discarded == 0
    else:
        kept = [one[ROW].processor_share == 0.5 for one in found.kept]
        assert sum(kept) == found.disturbed == max(wanted - taken.count(False), 0)
