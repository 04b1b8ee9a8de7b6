import io

import pytest

from tasks import report
from tasks.report import Bar, RunLog, human


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(report.time, "monotonic", lambda: Clock.now)
    return Clock


def test_progress_says_files_hours_speed_and_time_left(clock):
    bar = Bar("features:x:0001", total=40, unit="files", after=80)
    clock.now += 60
    bar.advance(10, 3600.0)
    assert bar.words() == "10 of 40 files, 1.00 h, 1.00 h a minute, 3 min 0 s left, 8 min 0 s for the shards after it"


def test_progress_of_an_archive_is_in_bytes(clock):
    bar = Bar("extract:x", total=2_000_000, unit="bytes", after=0)
    clock.now += 1
    bar.advance(500_000)
    assert bar.words() == "500.0 kB of 2.0 MB, 3.0 s left"


def test_without_a_terminal_a_plain_line_comes_every_ten_seconds_over_many_short_shards(clock, monkeypatch, capsys):
    monkeypatch.setattr(report.sys, "__stderr__", io.StringIO())
    log = RunLog()
    for shard in range(8):
        with log.progress(f"features:x:{shard:04d}", 2) as bar:
            for _ in range(2):
                clock.now += 2
                bar.advance(1, 10.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("   features:x:0002: 1 of 2 files")


def test_the_summary_counts_done_reused_quarantined_failed_and_bytes(clock):
    log = RunLog()
    log.done("scan:x", 1500)
    log.reused("extract:x")
    log.quarantined = 2
    log.failures.append(("features:x", "why"))
    clock.now += 61
    assert log.summary() == "1 done, 1 reused, 2 quarantined, 1 failed, 1.5 kB written in 1 min 1 s"


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (7 * 10**11, "700.0 GB"), (10**13, "10.0 TB")]
)
def test_sizes_are_said_in_si_units(size, said):
    assert human(size) == said
