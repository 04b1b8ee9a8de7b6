"""The measure that memory tests rest on sees what the process itself takes, and nothing of its parent."""

import sys

import pytest
from support.memory import peak_bytes
from support.processes import child

PARENT_BYTES, GROWTH_BYTES, BEFORE_BYTES = 300_000_000, 50_000_000, 80_000_000
SEEN = 0.95  # of a growth, at least: the kernel counts pages in batches a core, and freed ones are used again


@pytest.fixture
def large_parent():
    """This process with every page of a large block resident."""
    block = bytearray(PARENT_BYTES)
    block[::4096] = b"1" * len(block[::4096])
    assert peak_bytes() > PARENT_BYTES
    return block


def test_growth_in_the_child_of_a_large_parent_is_seen_and_the_parents_peak_is_not(large_parent):
    out, _ = child(
        """
        import sys
        from support.memory import peak_bytes, reset_peak

        start = reset_peak()
        idle = peak_bytes() - start
        block = b"1" * int(sys.argv[1])
        print(start, idle, peak_bytes() - start)
        """,
        GROWTH_BYTES,
    )
    start, idle, growth = map(int, out.split())
    assert start < PARENT_BYTES / 3
    assert idle < GROWTH_BYTES / 10
    assert SEEN * GROWTH_BYTES < growth < 1.2 * GROWTH_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set a peak back")
def test_a_peak_before_the_reset_hides_nothing_after_it():
    out, _ = child(
        """
        import sys
        from support.memory import peak_bytes, reset_peak

        before, growth = map(int, sys.argv[1:])
        block = b"1" * before
        del block
        start = reset_peak()
        block = b"1" * growth
        print(peak_bytes() - start)
        """,
        BEFORE_BYTES,
        GROWTH_BYTES,
    )
    assert int(out) > SEEN * GROWTH_BYTES
