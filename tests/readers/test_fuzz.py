"""Damaged label files of every reader: recordings, findings, or one line; `benchmarks/fuzz_readers.py` tries more."""

from pathlib import Path

import pytest
from support.label_fuzz import Tree, trial
from support.readers import FIXTURES

TRIALS = 6  # of each fixture


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: Path(path).stem)
def test_no_damage_to_label_files_ends_in_anything_but_findings_or_one_line(path, tmp_path):
    tree = Tree(path, tmp_path)
    before = tree.read()
    outcomes = [trial(tree, seed) for seed in range(TRIALS)]
    assert len(outcomes) == TRIALS
    assert tree.read() == before  # each trial's damage was mended: the next one begins with a whole tree


def test_the_damage_is_noticed_somewhere(tmp_path):
    tree = Tree(next(path for path in FIXTURES if path.stem == "esc50"), tmp_path)
    assert {"error", "findings"} <= {trial(tree, seed) for seed in range(40)}
