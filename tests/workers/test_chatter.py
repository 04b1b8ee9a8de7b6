"""What libraries print reaches nobody without a name to it."""

import os

import numpy as np
import pytest
import soundfile
from support import pool_jobs

from earmark.audio.batch import Work, standardize_batch
from earmark.audio.policy import Policy
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_file
from earmark.workers import chatter
from earmark.workers.pool import NOTES_TOLD, Pool


def test_what_is_printed_past_python_is_taken_and_the_rest_is_not(capfd):
    os.write(2, b"before\n")
    with chatter.captured() as lines:
        os.write(2, b"[layer3.c] error: no\n\n[layer3.c] error: again\n")
    os.write(2, b"after\n")
    assert lines == ["[layer3.c] error: no", "[layer3.c] error: again"]
    assert capfd.readouterr().err == "before\nafter\n"


def test_what_is_printed_before_an_error_is_taken_too(capfd):
    with pytest.raises(ValueError, match="x"), chatter.told_of("a.mp3"):
        os.write(2, b"no\n")
        raise ValueError("x")
    assert (chatter.take_notes(), capfd.readouterr().err) == ((), "")


def test_two_hundred_lines_are_one_with_the_name_of_the_recording(capfd):
    with chatter.told_of("a.mp3"):
        for _ in range(250):
            os.write(2, b"[layer3.c] error: no\n")
    assert chatter.take_notes() == ("a.mp3: [layer3.c] error: no, and 249 more lines",)
    assert chatter.take_notes() == ()
    assert capfd.readouterr().err == ""


def test_a_damaged_mp3_prints_nothing_and_is_told_by_name(tmp_path, capfd):
    path = tmp_path / "a.mp3"
    soundfile.write(path, 0.2 * np.random.default_rng(0).standard_normal(80_000), 16_000, format="MP3")
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(1).integers(2_000, len(data), 60):
        data[at] ^= 255
    path.write_bytes(data)
    status = path.stat()
    work = Work("a.mp3", hash_file(path), status.st_size, status.st_mtime_ns, path, None)
    standardize_batch(([work], Policy(format="none"), Scratch(tmp_path)))
    assert all(line.startswith("a.mp3: ") for line in chatter.take_notes())
    assert capfd.readouterr().err == ""


def test_what_workers_print_is_told_a_few_times(capfd):
    lines = []
    with Pool(1, lines.append) as own:
        assert list(own.map(pool_jobs.print_and_return, range(NOTES_TOLD + 5))) == list(range(NOTES_TOLD + 5))
    assert len(lines) == NOTES_TOLD
    assert lines[0] == "a library printed: print_and_return: library 0."
    assert "Later ones are not told" in lines[-1]
    assert capfd.readouterr().err == ""
