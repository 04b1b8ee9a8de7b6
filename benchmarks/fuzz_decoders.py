"""Damages sound files of every form at random and counts what comes of them.

    uv run python benchmarks/fuzz_decoders.py [TRIALS] [SEED]

No sound may be lost in silence, and nothing may crash or hang. Each loss is printed with what was done to the file.
"""

import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import damaged

SLOW_S = 5.0  # a trial that takes longer is as good as a hang


def main(n_trials: int, seed: int) -> int:
    """Run trials and print counts by form; return the number of losses."""
    counts: dict[str, Counter[str]] = {}
    losses = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bin"
        for number, (name, what) in enumerate(itertools.islice(damaged.trials(seed), n_trials)):
            started = time.monotonic()
            try:
                verdict = damaged.verdict(name, what, path)
            except Exception as error:  # whatever it is: that is what is looked for
                verdict = f"CRASH {type(error).__name__}: {error}"
            if time.monotonic() - started > SLOW_S:
                verdict = f"SLOW, and {verdict}"
            counts.setdefault(name, Counter())[verdict.split()[0]] += 1
            if verdict not in {"refused", "told", "whole"}:
                losses += 1
                print(f"{number}: {name}, {what.name}: {verdict}")
    for name, found in counts.items():
        print(f"{name:14}", ", ".join(f"{count} {word}" for word, count in sorted(found.items())))
    print(f"{n_trials} trials, {losses} losses")
    return losses


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*[*arguments, 10_000, 0][:2] if not arguments else [*arguments, 0][:2]) > 0)
