"""Random damage to every kind of state file, more than the suite tries: `uv run python benchmarks/state_flips.py 200`.

After each: run again, compare all products with the reference. A wrong product with exit 0 is allowed only where by
design a run believes sizes (frames of packs), and then verify must find it and the run after it mend it. In the end
verify must find nothing. Prints each trial that ended otherwise with its seed, and exits with 1 where there was one.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import state_flips


def main(trials: int, first: int) -> int:
    """Run trials one after the other on one collection; return how many ended as none may."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        subject = state_flips.Subject(Path(folder))
        for seed in range(first, first + trials):
            outcome, fault = subject.trial(seed)
            outcomes[outcome] += 1
            if fault:
                failures.append(fault)
                print(fault, flush=True)
    print(f"{trials:,} trials: {dict(outcomes)}, {len(failures)} faults")
    return len(failures)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    raise SystemExit(1 if main(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0) else 0)
