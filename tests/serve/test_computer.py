"""One thread computes what waits together: which images, in what order, and whose errors."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from resnets.data.images import Pixels
from resnets.serve.computer import Busy, Computer


def image(value: int) -> Pixels:
    return np.full((2, 2, 1), value, np.uint8)


class Work:
    """Doubles images' values; keeps how many it was given, and waits until it may go on."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.threads: set[int] = set()
        self.may = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, pixels: Pixels) -> Sequence[Any]:
        self.entered.release()
        assert self.may.wait(20)
        self.given.append(len(pixels))
        self.threads.add(threading.get_ident())
        return [int(one.max()) * 2 for one in pixels]


def test_what_waits_is_computed_together_in_powers_of_two() -> None:
    work = Work()
    with Computer() as computer:
        first = computer.submit(work, image(100))
        assert work.entered.acquire(timeout=20)  # it computes alone: nothing else was there
        others = [computer.submit(work, image(k)) for k in range(43)]
        work.may.set()
        assert first.result(20) == 200
        assert [other.result(20) for other in others] == [2 * k for k in range(43)]
    assert work.given == [1, 32, 8, 2, 1]
    assert work.threads.isdisjoint({threading.get_ident()}) and len(work.threads) == 1


def test_different_work_is_not_mixed_and_keeps_its_turn() -> None:
    work, other, done = Work(), Work(), []
    other.may.set()
    with Computer() as computer:
        held = computer.submit(work, image(1))
        assert work.entered.acquire(timeout=20)
        jobs = [computer.submit(w, image(k)) for k, w in enumerate((work, work, other, work))]
        for k, job in enumerate(jobs):
            job.add_done_callback(lambda _, k=k: done.append(k))
        work.may.set()
        assert [job.result(20) for job in (held, *jobs)] == [2, 0, 2, 4, 6]
    assert done == [0, 1, 2, 3] and work.given == [1, 2, 1] and other.given == [1]


def test_an_error_is_told_to_who_asked_and_the_thread_goes_on() -> None:
    def fails(_: Pixels) -> Sequence[Any]:
        raise KeyError("no")

    def short(_: Pixels) -> Sequence[Any]:
        return []

    work = Work()
    work.may.set()
    with Computer() as computer:
        with pytest.raises(KeyError, match="no"):
            computer.submit(fails, image(1)).result(20)
        with pytest.raises(IndexError):
            computer.submit(short, image(1)).result(20)
        assert computer.submit(work, image(4)).result(20) == 8


def test_too_many_are_refused_and_none_is_lost() -> None:
    work = Work()
    with Computer(max_waiting=3) as computer:
        jobs = [computer.submit(work, image(0))]
        assert work.entered.acquire(timeout=20)
        jobs += [computer.submit(work, image(k)) for k in (1, 2, 3)]
        with pytest.raises(Busy, match="3 images are waiting"):
            computer.submit(work, image(4))
        work.may.set()
    assert [job.result(0) for job in jobs] == [0, 2, 4, 6]  # at its end all are there


def test_who_no_longer_waits_costs_nothing() -> None:
    work = Work()
    with Computer() as computer:
        held = computer.submit(work, image(1))
        assert work.entered.acquire(timeout=20)
        gone, stays = computer.submit(work, image(2)), computer.submit(work, image(3))
        assert gone.cancel()
        work.may.set()
        assert (held.result(20), stays.result(20)) == (2, 6)
    assert work.given == [1, 1]


def test_one_image_that_fails_does_not_fail_the_others() -> None:
    work = Work()

    def odd(pixels: Pixels) -> Sequence[Any]:
        found = work(pixels)
        if (pixels == 7).any():
            raise ValueError("seven")
        return found

    with Computer() as computer:
        held = computer.submit(work, image(1))
        assert work.entered.acquire(timeout=20)
        jobs = [computer.submit(odd, image(k)) for k in (5, 6, 7, 8)]
        work.may.set()
        held.result(20)
        assert [jobs[k].result(20) for k in (0, 1, 3)] == [10, 12, 16]
        with pytest.raises(ValueError, match="seven"):
            jobs[2].result(20)


def test_it_computes_inside_of_with_alone_and_again() -> None:
    work = Work()
    work.may.set()
    computer = Computer()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside of with"):
            computer.submit(work, image(1))
        with computer:
            assert computer.submit(work, image(1)).result(20) == 2
