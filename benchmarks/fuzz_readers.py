"""Damaged label files of every reader, more than the suite tries: `uv run python benchmarks/fuzz_readers.py 10000`.

Prints how many trials ended in recordings, findings and errors of one line, and each trial that ended otherwise with
its fixture and seed. Exits with 1 where there was one.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from support.label_fuzz import Hang, Tree, trial  # noqa: E402 - of the tests, which are no package
from support.readers import FIXTURES  # noqa: E402


def main(trials: int, first: int) -> int:
    """Run trials, each fixture in its turn; return how many ended as none may."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        trees = [Tree(path, Path(folder) / path.stem) for path in FIXTURES]
        for seed in range(first, first + trials):
            tree = trees[seed % len(trees)]
            try:
                outcomes[trial(tree, seed)] += 1
            except (Exception, Hang) as error:
                failures.append(f"{tree.name} {seed}: {type(error).__name__}: {error}"[:300])
    print(f"{trials:,} trials on {len(trees)} fixtures: {dict(outcomes)}, {len(failures)} failures")
    for line in failures:
        print(line)
    return len(failures)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    raise SystemExit(1 if main(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0) else 0)
