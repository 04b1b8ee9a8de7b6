"""From recordings to a pack: whatever the way of the samples, the frames are the same; and nothing is left of a failure."""

import contextlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.encoder_promises import NOISE, encode, frames_of, store
from support.models import write_model

from earmark import encoders
from earmark.audio import canonical
from earmark.disk.files import Scratch
from earmark.disk.hashing import hash_bytes
from earmark.errors import CorpusError, DiskFullError, ModelError
from earmark.features import encode as encode_module
from earmark.features.encode import Recording, encode_pack
from earmark.features.packs import read_features, verify_pack
from earmark.rates import RATE_HZ

LONG_S = 10 * 60 + 12  # seconds: over what a source is decoded to disk for


def opened(home, **keys):
    return encoders.parse_table(keys).open(store(home))


@pytest.fixture(scope="module")
def mel(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("mel"), kind="mel")


def left(folder):
    """Return what is in the folders of packs and of unfinished files."""
    return sorted(path.name for part in ("packs", "tmp") for path in (folder / part).glob("*"))


@contextlib.contextmanager
def watched(monkeypatch):
    """Yield a list that gathers, at each chunk of samples read, the files that are in the folder of the spool."""
    seen = []
    original = encode_module._samples

    def samples(chunk, resampler):
        seen.append((chunk.raw, chunk.path.parent.name if chunk.raw else "", chunk.path.exists()))
        return original(chunk, resampler)

    with monkeypatch.context() as patched:
        patched.setattr(encode_module, "_samples", samples)
        yield seen


def stereo(seconds, rate_hz=8_000):
    """Return noise that rises in one channel and falls in the other, (n, 2) int16."""
    n = seconds * rate_hz
    noise = np.random.default_rng(3).normal(0, 3_000, (n, 2))
    return (noise * np.stack([np.linspace(0, 1, n), np.linspace(1, 0, n)], axis=1)).astype(np.int16)


def source(path, seconds):
    """Write a stereo source at 8 kHz; return it as it is encoded where no standard audio is written, and its samples."""
    soundfile.write(path, stereo(seconds), 8_000, subtype="PCM_16")
    policy = canonical.Policy(channel="mean", resampler="HQ", format="none")
    samples = np.concatenate(list(canonical.canonical_blocks(path, policy)))
    return Recording(hash_bytes(samples.tobytes()), path, len(samples), standard=False), samples


def encode_sources(encoder, folder, recordings, done=None):
    return encode_pack(
        recordings,
        encoder,
        folder / "packs",
        "a.zarr",
        dtype="float32",
        attributes={},
        resampler="HQ",
        scratch=Scratch(folder / "tmp"),
        on_done=lambda n, seconds: done.append((n, seconds)) if done is not None else None,
    )


@pytest.mark.slow
def test_a_source_over_ten_minutes_is_decoded_to_disk_once_and_its_frames_are_those_of_its_samples(
    mel, tmp_path, monkeypatch
):
    long, samples = source(tmp_path / "long.flac", LONG_S)
    short, others = source(tmp_path / "short.flac", 3)
    done = []
    with watched(monkeypatch) as seen:
        encode_sources(mel, tmp_path, [long, short], done)
    assert [raw for raw, _, _ in seen].count(True) == 3  # 4 minutes at a time
    assert all(exists and folder == "tmp" for raw, folder, exists in seen if raw)
    assert left(tmp_path) == ["a.zarr"]
    assert verify_pack(tmp_path / "packs" / "a.zarr") == []
    for row, one in enumerate((samples, others)):
        np.testing.assert_array_equal(read_features(tmp_path / "packs", "a.zarr", row), frames_of(mel, one))
    assert sum(n for n, _ in done) == 2
    assert sum(seconds for _, seconds in done) == pytest.approx((len(samples) + len(others)) / RATE_HZ)


@pytest.mark.parametrize("kind", [{"kind": "f0"}, {"kind": "whisper", "model": "model", "window": "clip"}], ids=str)
def test_a_source_on_the_spool_gives_what_its_standard_file_gives(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(encode_module, "SPOOL_SAMPLES", RATE_HZ)
    write_model(tmp_path / "model", n_state=16, n_head=2, n_layer=1)
    encoder = opened(tmp_path, **kind)
    recording, samples = source(tmp_path / "x.flac", 64)
    with watched(monkeypatch) as seen:
        encode_sources(encoder, tmp_path / "spooled", [recording])
    assert seen[0][0]
    standard = encode(encoder, tmp_path / "standard", [samples])
    np.testing.assert_array_equal(
        read_features(tmp_path / "spooled" / "packs", "a.zarr", 0), read_features(standard.parent, standard.name, 0)
    )


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, len(NOISE)), min_size=1, max_size=4, unique=True),
    chunk=st.integers(1, 3),
    batch=st.integers(1, 3),
)
def test_frames_do_not_depend_on_chunks_or_batches(tmp_path_factory, monkeypatch, mel, lengths, chunk, batch):
    samples = [NOISE[:n] for n in lengths]
    folder = tmp_path_factory.mktemp("any")
    with monkeypatch.context() as patched:
        patched.setattr(encode_module, "WINDOWS_A_CHUNK", chunk)
        encode(replace(mel, batch=batch), folder, samples)
    for row, one in enumerate(samples):
        np.testing.assert_array_equal(read_features(folder / "packs", "a.zarr", row), frames_of(mel, one))


def test_attributes_say_which_engine_and_which_frames(mel, tmp_path):
    pack = encode(mel, tmp_path, [NOISE[:500]], attributes={"encoder": "mine", "source": "features:books:0000"})
    recorded = json.loads((pack / "zarr.json").read_bytes())["attributes"]
    assert recorded == {
        "encoder": "mine",
        "source": "features:books:0000",
        "engine": "numpy",
        "engine_version": f"numpy {np.__version__}",
        "frames": {"step": 160, "first": 1, "per": 1},
    }


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3, LONG_S], ids=["decoded at once", "on the spool"])
def test_a_source_that_was_edited_makes_no_pack_and_leaves_nothing(mel, tmp_path, seconds):
    recording, _ = source(tmp_path / "x.flac", seconds)
    edited = stereo(seconds)
    edited[len(edited) // 2] += 1_000
    soundfile.write(tmp_path / "x.flac", edited, 8_000, subtype="PCM_16")
    with pytest.raises(
        CorpusError, match=r"x\.flac: no longer decodes to the samples of its audio hash: expected"
    ) as one:
        encode_sources(mel, tmp_path, [recording])
    assert "\n" not in str(one.value)
    assert left(tmp_path) == []


def test_a_source_that_is_cut_short_makes_no_pack_and_leaves_nothing(mel, tmp_path):
    recording, _ = source(tmp_path / "x.flac", 3)
    os.truncate(tmp_path / "x.flac", 2_000)
    with pytest.raises(CorpusError, match=r"x\.flac: .*damaged") as one:
        encode_sources(mel, tmp_path, [recording])
    assert "\n" not in str(one.value)
    assert left(tmp_path) == []


def test_a_disk_that_is_full_is_found_out_before_anything_is_decoded(mel, tmp_path, monkeypatch):
    recording, _ = source(tmp_path / "x.flac", 3)

    def full(folder, needed, what):
        assert needed == 300 * 80 * 4
        raise DiskFullError(f"{what}: disk full")

    with monkeypatch.context() as patched, watched(patched) as seen:
        patched.setattr(encode_module, "require_space", full)
        with pytest.raises(DiskFullError, match=r"^packs/a\.zarr: disk full$"):
            encode_sources(mel, tmp_path, [recording])
    assert not seen and left(tmp_path) == []


def test_an_encoder_that_gives_too_few_frames_is_one_line(mel, tmp_path):
    class Short(type(mel)):
        def encode(self, windows):
            return windows[:, :-1]

    short = Short(*(getattr(mel, name) for name in ("front_end", "n_state", "engine", "version")))
    with pytest.raises(ModelError, match=r"^a\.zarr: the encoder gave 299 frames of a window of 300\.$"):
        encode_sources(short, tmp_path, [source(tmp_path / "x.flac", 3)[0]])
    assert left(tmp_path) == []
