"""The few architectures that ``make check`` runs stand for all of them."""

from strategies import QUICK_ARCHITECTURES, SMALL_ARCHITECTURES, kinds_of_parts


def test_the_quick_architectures_have_every_kind_of_part() -> None:
    every = {kind for a in SMALL_ARCHITECTURES for kind in kinds_of_parts(a)}
    quick = {kind for a in QUICK_ARCHITECTURES for kind in kinds_of_parts(a)}
    assert every - quick == set()
    assert len(QUICK_ARCHITECTURES) == 8
