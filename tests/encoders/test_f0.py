import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collection import RATE_HZ, speech

from earmark.catalog.read import read_catalog
from earmark.encoders.f0 import F0
from earmark.encoders.f0.pitch import Pitch
from earmark.errors import CatalogError

STEP = 320  # samples a row
PITCH = Pitch(60.0, 1100.0)
CENTS = 1200.0  # in an octave


def sung(f0_hz, noise=0.0, n_harmonics=8):
    """Return a voice-like tone (n,) int16 of given F0 (n,) in Hz, and seeded noise beside it."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    sound = sum(np.sin(k * phase) / k * (k * f0_hz < 7_500) for k in range(1, n_harmonics + 1))
    sound = 0.5 * sound / np.abs(sound).max() + noise * np.random.default_rng(0).normal(size=len(f0_hz))
    return np.rint(sound * 32_000).clip(-32_768, 32_767).astype(np.int16)


def glide(start_hz, end_hz, seconds):
    return start_hz * (end_hz / start_hz) ** np.linspace(0, 1, round(seconds * RATE_HZ))


def at_rows(f0_hz):
    """Return the true F0 in the middle of each row, where a whole row is."""
    return f0_hz[STEP // 2 :: STEP]


def rows_of(samples, start=0, stop=None):
    return np.concatenate([rows for rows, _ in PITCH.windows(samples, start, len(samples) if stop is None else stop)])


def error_cents(rows, f0_hz):
    truth = at_rows(f0_hz)
    found = rows[: len(truth), 0]
    assert (found > 0).mean() > 0.98
    voiced = found > 0
    return np.abs(CENTS * np.log2(found[voiced] / truth[voiced]))


@pytest.mark.parametrize("ends", [(80, 400), (400, 80), (200, 1000), (70, 140)], ids=str)
def test_f0_of_a_clean_glide_is_within_a_cent_and_of_a_noisy_one_within_twenty(ends):
    f0_hz = glide(*ends, seconds=4.0)
    clean, noisy = (error_cents(rows_of(sung(f0_hz, noise)), f0_hz) for noise in (0.0, 0.05))
    assert np.median(clean) < 0.5 and np.percentile(clean, 95) < 1.0
    assert np.median(noisy) < 5.0 and np.percentile(noisy, 95) < 20.0


def test_f0_follows_a_vibrato_within_twelve_cents():
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    f0_hz = 220 * (1 + 0.06 * np.sin(2 * np.pi * 5.5 * time_s))
    assert np.percentile(error_cents(rows_of(sung(f0_hz)), f0_hz), 95) < 12


@settings(deadline=None, max_examples=30)
@given(n_samples=st.integers(1, 3 * RATE_HZ))
def test_any_length_has_a_row_for_each_row_of_a_whisper_encoder(n_samples):
    rows = rows_of(speech(4, 1)[:n_samples])
    assert rows.shape == (-(-n_samples // STEP), 2) and rows.dtype == np.float32
    assert np.isfinite(rows).all() and (rows >= 0).all()


def test_silence_is_unvoiced():
    assert not rows_of(np.zeros(RATE_HZ, np.int16))[:, 0].any()


def test_windows_of_thirty_seconds_meet_without_a_seam():
    f0_hz = glide(100, 300, seconds=65.0)
    samples = sung(f0_hz)
    rows = rows_of(samples)
    assert len(rows) == 65 * 50
    seams = [row for edge in (1500, 3000) for row in range(edge - 5, edge + 5)]
    assert np.abs(CENTS * np.log2(rows[seams, 0] / at_rows(f0_hz)[seams])).max() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("click", [None, -100, 100], ids=str)
def test_rows_do_not_depend_on_how_a_recording_is_cut_for_reading(click):
    """Nor on a click just outside of what is read around a window: Praat compares with the loudest sound it is given."""
    samples = sung(glide(90, 500, seconds=70.0), noise=0.02) // 40
    edge = 30 * RATE_HZ
    lead = PITCH.context
    if click is not None:
        at = edge + click + (lead if click > 0 else -lead)
        samples[at : at + 50] = 32_000
    first = rows_of(samples[: edge + lead], 0, edge)
    second = rows_of(samples[edge - lead :], lead, len(samples) - edge + lead)
    np.testing.assert_array_equal(np.concatenate([first, second]), rows_of(samples))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = "f0"\nfloor_hz = 500.0\nceiling_hz = 100.0', "floor_hz, ceiling_hz: expected 20 <= floor_hz"),
        ('kind = "f0"\nmodel = "x"', 'model: an encoder of kind "f0" has no such key'),
        ('model = "x"\nfloor_hz = 60.0', 'floor_hz: an encoder of kind "whisper" has no such key'),
        ('kind = "whisper"', 'key "model" is missing'),
    ],
)
def test_keys_of_another_kind_and_impossible_frequencies_are_refused(table, message, tmp_path):
    path = tmp_path / "datasets.toml"
    path.write_text(f"[encoders.pitch]\n{table}\n", "utf-8")
    with pytest.raises(CatalogError, match=rf"\[encoders.pitch\]: {message}"):
        read_catalog(path)


def test_identity_holds_what_changes_the_numbers():
    def made(**keys):
        return F0(**keys).identity(None)

    known = made(codec="float32")
    assert known == made(floor_hz=60.0, ceiling_hz=1100.0, codec="float32")
    assert all(other != known for other in (made(), made(codec="float32", floor_hz=75.0), made(ceiling_hz=600.0)))


@pytest.mark.parametrize("form", ["flac", "none"])
def test_contours_lie_in_packs_beside_the_features_keyed_by_audio_hash(form, collection, tmp_path):
    import zarr

    root = collection.add_dataset("books", encoders=["small", "pitch"])
    collection.standard = {"format": form}
    collection.write_catalog()
    with (collection.home / "datasets.toml").open("a") as file:
        file.write('[encoders.pitch]\nkind = "f0"\ncodec = "float32"\n')
    folder = root / "dev-clean" / "1" / "10"
    folder.mkdir(parents=True)
    f0_hz = glide(100, 200, seconds=1.5)
    (folder / "1-10.trans.txt").write_text("1-10-0000 A\n")
    soundfile.write(folder / "1-10-0000.flac", sung(f0_hz), RATE_HZ, subtype="PCM_16")
    collection.doit("features:books")
    (row,) = collection.rows("manifests/features/pitch/books.jsonl")
    assert row["audio_hash"] == collection.rows("manifests/features/small/books.jsonl")[0]["audio_hash"]
    (pack,) = collection.home.glob(f"cache/features/pitch-*/packs/{row['pack']}")
    group = zarr.open_group(pack, mode="r")
    assert group.attrs["engine"] == "praat" and group.attrs["identity"]["kind"] == "f0"
    frames = group["frames"][:]
    assert frames.shape == (75, 2) and np.median(error_cents(frames, f0_hz)) < 0.5
