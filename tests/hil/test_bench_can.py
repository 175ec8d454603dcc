"""Both pairs of the CAN benchmark do their work and are compared turn by turn."""

from __future__ import annotations

import pytest

from hil.bench.can import Pair, pdo_pair, render, slcan_pair


def test_packed_process_data_cost_less_than_objects() -> None:
    pair = pdo_pair(turns=3, cycles=40)
    assert len(pair.ours) == len(pair.theirs) == 3
    assert pair.ratio > 3.0  # the aim is 8; this is what any machine gives


def test_slcan_costs_less_than_a_byte_at_a_time() -> None:
    assert slcan_pair(turns=2, cycles=5).ratio > 3.0


def test_figures_as_text() -> None:
    pair = Pair("a pair", (2.0, 4.0, 2.0), (20.0, 20.0, 20.0), 8.0)
    assert pair.ratio == pytest.approx(10.0)
    assert pair.interval[0] <= pair.ratio <= pair.interval[1]
    assert "reached" in render([pair])
    assert "missed" in render([Pair("another", (2.0,), (4.0,), 8.0)])
