"""Run in Lhotse's environment: a folder of audio resampled to 16 kHz, mono, FLAC, its documented way.

Usage: python peer_lhotse.py SOURCE TARGET JOBS
"""

import sys
from pathlib import Path

from lhotse import CutSet, RecordingSet


def main(source: str, target: str, jobs: int) -> None:
    """Find recordings, resample lazily, take the first channel (Lhotse mixes down in memory, in one process), save."""
    found = [RecordingSet.from_dir(source, f"**/*.{suffix}", num_jobs=jobs) for suffix in ("flac", "opus")]
    cuts = CutSet.from_manifests(recordings=found[0] + found[1]).resample(16_000)
    mono = CutSet.from_cuts(cut.to_mono()[0] if cut.num_channels > 1 else cut for cut in cuts)
    Path(target).mkdir(parents=True)
    mono.save_audios(target, format="flac", num_jobs=jobs, progress_bar=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
