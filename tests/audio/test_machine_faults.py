"""What the machine does wrong while a recording is read is never kept as something that is wrong with the recording."""

import errno
import os

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support import pool_jobs

from earmark.audio import batch as batches
from earmark.audio import source as sources
from earmark.audio.batch import Work, standardize_batch
from earmark.audio.canonical import canonical_blocks, read_canonical
from earmark.audio.policy import Policy
from earmark.audio.table import BadAudio, GoodAudio
from earmark.disk.faults import MachineError, is_machine_fault
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_file
from earmark.errors import BadAudioError, CorpusError
from earmark.workers.pool import Pool
from tasks.stages import standardize

NONE = Policy(format="none")
FORMS = {"a.flac": {}, "a.wav": {}, "a.mp3": {}, "a.ogg": {}, "a.caf": {}, "a.mka": {}, "a.m4a": {}, "a.opus": {}}


def noise(seconds=1.5, rate_hz=16_000):
    return 0.2 * np.random.default_rng(7).standard_normal(int(seconds * rate_hz)).clip(-3, 3)


def write_media(path, samples, codec, rate_hz):
    import av

    with av.open(str(path), "w") as media:
        stream = media.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        convert = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_hz)
        for piece in [*convert.resample(frame), *convert.resample(None)]:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("a.flac", "a.wav", "a.mp3", "a.ogg", "a.caf"):
        soundfile.write(folder / name, noise(), 16_000)
    write_media(folder / "a.mka", noise(), "flac", 16_000)
    write_media(folder / "a.m4a", noise(rate_hz=48_000), "aac", 48_000)
    write_media(folder / "a.opus", noise(rate_hz=48_000), "libopus", 48_000)
    return folder


class Disk:
    """os.pread that fails at its n-th call: with an error, or with no bytes as if the file ended there."""

    def __init__(self, at, fault):
        self.at, self.fault, self.calls = at, fault, 0

    def pread(self, descriptor, length, offset):
        self.calls += 1
        if self.calls == self.at:
            if self.fault:
                raise OSError(self.fault, os.strerror(self.fault))
            return b""
        return os.pread(descriptor, length, offset)


class WithDisk:
    """The module os as `earmark.audio.source` sees it, with another pread."""

    def __init__(self, disk):
        self.pread = disk.pread

    def __getattr__(self, name):
        return getattr(os, name)


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(sorted(FORMS)),
    at=st.integers(1, 12),
    fault=st.sampled_from([errno.EIO, errno.ESTALE, errno.ENOMEM, 0]),
)
def test_no_failed_read_makes_a_recording_bad_or_shorter(recordings, name, at, fault):
    whole = np.concatenate(list(canonical_blocks(recordings / name, NONE)))
    disk = Disk(at, fault)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "os", WithDisk(disk))
        try:
            samples = np.concatenate(list(canonical_blocks(recordings / name, NONE)))
        except MachineError as error:
            assert "\n" not in str(error)
            return
    assert disk.calls < at
    np.testing.assert_array_equal(samples, whole)


def test_a_part_of_a_standard_file_that_cannot_be_read_is_not_called_damaged(recordings, monkeypatch):
    monkeypatch.setattr(sources, "os", WithDisk(Disk(1, errno.EIO)))
    with pytest.raises(MachineError, match="Input/output error"):
        read_canonical(recordings / "a.flac", 100, 200)


def work_of(path, target=None):
    status = path.stat()
    return Work(path.name, hash_file(path), status.st_size, status.st_mtime_ns, path, target)


def test_a_file_that_cannot_be_opened_for_want_of_handles_has_no_row(recordings, tmp_path, monkeypatch):
    def no_handles(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("earmark.audio.decoding.os.open", no_handles)
    with pytest.raises((MachineError, OSError), match="Too many open files"):
        standardize_batch(([work_of(recordings / "a.flac")], NONE, Scratch(tmp_path)))


def test_what_is_bad_only_once_is_good(recordings, tmp_path, monkeypatch):
    import earmark.audio.canonical

    standardize_one, calls = earmark.audio.canonical.standardize, []

    def bad_once(*args):
        calls.append(args)
        if len(calls) == 1:
            raise BadAudioError("corrupt", "a bad moment", "none")
        return standardize_one(*args)

    monkeypatch.setattr("earmark.audio.canonical.standardize", bad_once)
    (row,) = standardize_batch(([work_of(recordings / "a.flac")], NONE, Scratch(tmp_path)))
    assert isinstance(row, GoodAudio)


def test_what_is_bad_twice_with_the_bytes_that_were_scanned_is_bad(recordings, tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes((recordings / "a.flac").read_bytes()[:9_000])
    (row,) = standardize_batch(([work_of(path)], NONE, Scratch(tmp_path)))
    assert isinstance(row, BadAudio)


def test_bytes_other_than_the_scanned_ones_are_no_verdict_on_the_recording(recordings, tmp_path):
    path = tmp_path / "cut.flac"
    path.write_bytes((recordings / "a.flac").read_bytes()[:9_000])
    work = Work(path.name, "0" * 32, path.stat().st_size, path.stat().st_mtime_ns, path, None)
    batches._hash_once.cache_clear()
    with pytest.raises(CorpusError, match="not the bytes that were scanned"):
        standardize_batch(([work], NONE, Scratch(tmp_path)))


def test_any_exception_of_a_decoder_is_one_recordings(recordings, monkeypatch):
    for error in (ValueError("size"), AssertionError(), OSError(errno.EINVAL, "Invalid argument"), RuntimeError("x")):

        def failing(*_args, error=error, **_options):
            raise error

        monkeypatch.setattr("earmark.audio.decoding.soundfile.SoundFile", failing)
        with pytest.raises(BadAudioError, match=f"undecodable: expected audio, got {type(error).__name__}"):
            list(canonical_blocks(recordings / "a.flac", NONE))


def test_tags_that_are_no_utf8_are_no_fault_of_the_sound(tmp_path):
    import av

    rate_hz, expected = 48_000, {}
    for name, codec in [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.opus", "libopus"), ("a.flv", "aac")]:
        path = tmp_path / name
        with av.open(str(path), "w") as media:
            media.metadata["title"] = "TITLEXX"
            stream = media.add_stream(codec, rate=rate_hz)
            stream.metadata["title"] = "TITLEXX"
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), format="fltp", layout="mono")
            frame.sample_rate = rate_hz
            convert = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_hz)
            for piece in [*convert.resample(frame), *convert.resample(None)]:
                media.mux(stream.encode(piece))
            media.mux(stream.encode(None))
        expected[name] = sum(map(len, canonical_blocks(path, NONE)))
        data = path.read_bytes()
        assert b"TITLEXX" in data
        if not name.endswith(".opus"):  # an Ogg page has a checksum over its tags
            path.write_bytes(data.replace(b"TITLEXX", b"Caf\xe9 XX"))
        assert sum(map(len, canonical_blocks(path, NONE))) == expected[name]


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(sorted(FORMS)),
    flips=st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), min_size=1, max_size=6),
    share=st.floats(0.05, 1.0),
)
def test_damaged_heads_raise_nothing_but_a_recordings_own_error(recordings, tmp_path_factory, name, flips, share):
    data = bytearray((recordings / name).read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(data[: max(1, int(len(data) * share))])
    try:
        list(canonical_blocks(path, NONE))
    except BadAudioError as error:
        assert "\n" not in str(error)


def test_a_recording_that_crashes_its_worker_twice_is_quarantined_and_those_beside_it_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(standardize, "standardize_batch", pool_jobs.standardize_or_crash)
    works = []
    for name in ("a.wav", "crash.wav", "z.wav"):
        (tmp_path / name).write_bytes(name.encode())
        works.append(work_of(tmp_path / name))
    with Pool(1) as pool:
        rows = standardize._one_by_one(pool, (works, NONE, Scratch(tmp_path)))
    assert [(row.path, row.bad) for row in rows] == [
        ("a.wav", "no samples"),
        ("crash.wav", "crashes its decoder"),
        ("z.wav", "no samples"),
    ]
    assert "SIGSEGV" in rows[1].detail


def test_what_ffmpeg_calls_an_io_error_is_no_fault_of_the_machine():
    import av

    assert is_machine_fault(OSError(errno.EIO, "x"))
    with pytest.raises(BadAudioError), sources.one_recording("a.mkv", "pyav"):
        raise (
            av.error.OSError(errno.EIO, "I/O error")
            if hasattr(av.error, "OSError")
            else av.FFmpegError(errno.EIO, "I/O error")
        )
