"""Sound files damaged at random: a verdict, all of the sound, or a defect that says what is not; never less in silence.

`benchmarks/fuzz_decoders.py` does the same ten thousand times.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import damaged


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "a.bin"


@pytest.mark.parametrize("name", damaged.forms())
def test_a_file_that_nothing_happened_to_is_whole_and_has_no_defect(path, name):
    form = damaged.forms()[name]
    assert damaged.verdict(name, damaged.Damaged("nothing", form.data, 1.0), path) == "whole"


@settings(deadline=None, max_examples=350)
@given(
    name=st.sampled_from(sorted(damaged.forms())),
    damage=st.sampled_from(damaged.DAMAGES),
    at=st.floats(0.0, 1.0, exclude_max=True),
    seed=st.integers(0, 1 << 20),
)
def test_no_damage_makes_a_recording_shorter_in_silence(path, name, damage, at, seed):
    what = damage(damaged.forms()[name], at, seed)
    assert damaged.verdict(name, what, path) in {"refused", "told", "whole"}, what.name
