"""What every encoder kind promises: a test class that each kind inherits, saying only what its own numbers are."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark import encoders
from earmark.amounts import exact
from earmark.catalog.read import read_catalog
from earmark.disk.files import Scratch, size_on_disk
from earmark.disk.hashing import HashMemo, hash_bytes
from earmark.errors import CatalogError
from earmark.features.encode import Recording, encode_pack
from earmark.features.packs import chunk_frames_of, read_features, verify_pack
from earmark.features.sizes import pack_bytes
from earmark.rates import RATE_HZ
from support.collection import CHECKOUT
from support.heavy import HEAVY

NOISE = np.random.default_rng(5).normal(0, 2_500, 61 * RATE_HZ).astype(np.int16)  # as long as any test asks for
WINDOW = 30 * RATE_HZ
EDGES = [WINDOW * k + off for k in (1, 2) for off in (-321, -1, 0, 1, 79, 80, 81, 320, 399, 400)]
LENGTHS = st.one_of(
    st.integers(1, 1_000), st.integers(1, WINDOW), st.sampled_from([0, 1, 159, 160, 161, len(NOISE), *EDGES])
)


def store(home):
    """Return where the encoders of a folder find their models."""
    return encoders.ModelStore(home, home / "models", Scratch(home / "tmp"), HashMemo(home / "memo.db"))


def frames_of(encoder, samples, step=None):
    """Return a recording's frames, read `step` samples at a time with the context that the front end wants."""
    front_end = encoder.front_end
    step = step or max(1, len(samples))
    frames = [np.zeros((0, encoder.n_state), np.float32)]
    for start in range(0, len(samples), step):
        stop = min(start + step, len(samples))
        before = max(0, start - front_end.context)
        heard = samples[before : stop + front_end.context]
        for window, kept in front_end.windows(heard, start - before, stop - before):
            (rows,) = encoder.encode(window[None])
            assert len(rows) >= kept
            frames.append(rows[:kept])
    return np.concatenate(frames)


def encode(encoder, folder, samples, *, attributes=None, codec="float32", standard=True, channel="mean", done=None):
    """Write recordings as FLAC and encode them into the pack `a.zarr`; return its path."""
    (folder / "sounds").mkdir(parents=True, exist_ok=True)
    recordings = []
    for number, one in enumerate(samples):
        path = folder / "sounds" / f"{number}.flac"
        soundfile.write(path, one, RATE_HZ, subtype="PCM_16")
        recordings.append(Recording(hash_bytes(one.tobytes()), path, len(one), standard, channel))
    size, n_frames = encode_pack(
        recordings, encoder, folder / "packs", "a.zarr", dtype=codec, attributes=attributes or {}, resampler="HQ",
        scratch=Scratch(folder / "tmp"), on_done=lambda n, seconds: done.append((n, seconds)) if done is not None else None,
    )  # fmt: skip
    assert size == size_on_disk(folder / "packs" / "a.zarr")
    assert n_frames == sum(encoder.front_end.frames.count(len(one)) for one in samples)
    return folder / "packs" / "a.zarr"


class EncoderPromises:
    """Inherit it, and say what the kind's table, numbers and mistakes are."""

    keys: dict  # of the table in the catalog
    identity: dict  # exactly; what cannot be known beforehand is `...`
    width: int
    frames_per_s: float
    engine: str
    wrong: list  # (keys that replace or join `keys`, the one line that says so)

    @staticmethod
    def write_model(home: Path) -> None:
        """Write what `keys` names."""

    @pytest.fixture(scope="class")
    @classmethod
    def models(cls, tmp_path_factory):
        home = tmp_path_factory.mktemp("encoder")
        cls.write_model(home)
        return store(home)

    @pytest.fixture(scope="class")
    @classmethod
    def table(cls, models):
        table = encoders.parse_table(cls.keys)
        table.prepare(models)
        return table

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, table, models):
        return table.open(models)

    def test_its_identity_is_json_and_what_it_was(self, table, models):
        known = table.identity(models)
        assert json.loads(json.dumps(known)) == known == table.identity(models)
        assert list(known) == list(self.identity)  # in this order, too: a pack's attributes are bytes
        assert {key: known[key] for key, value in self.identity.items() if value is not ...} == {
            key: value for key, value in self.identity.items() if value is not ...
        }

    def test_its_identity_holds_how_frames_are_stored_and_not_what_computes_them(self, table, models):
        other = table.model_copy(update={"codec": "float32"})
        assert other.identity(models) != table.identity(models)
        assert self.engine not in json.dumps(list(table.identity(models).values()))

    @pytest.mark.slow
    def test_its_identity_is_known_without_heavy_imports_once_a_model_was_hashed(self, table, models):
        table.identity(models)
        code = f"""if True:
            import sys
            sys.path.insert(0, {str(CHECKOUT / "tests")!r})
            from pathlib import Path
            from earmark import encoders
            from earmark.disk.files import Scratch
            from earmark.disk.hashing import HashMemo
            home = Path({str(models.home)!r})
            models = encoders.ModelStore(home, home / "models", Scratch(home / "tmp"), HashMemo(home / "memo.db"))
            encoders.parse_table({self.keys!r}).identity(models)
            print(sorted({HEAVY!r} & {{name.partition(".")[0] for name in sys.modules}}))
        """
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=False)
        assert (done.stdout, done.stderr) == ("[]\n", "")

    def test_opened_twice_it_gives_the_same_frames(self, table, models, encoder):
        samples = NOISE[: 2 * RATE_HZ]
        np.testing.assert_array_equal(frames_of(table.open(models), samples), frames_of(encoder, samples))

    # An example that fails for one kind is tried on all of them: it means the same to each.
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.differing_executors])
    @given(n_samples=LENGTHS)
    def test_it_gives_as_many_frames_as_it_says_of_any_length(self, encoder, n_samples):
        frames = frames_of(encoder, NOISE[:n_samples])
        assert frames.shape == (encoder.front_end.frames.count(n_samples), encoder.n_state)
        assert frames.dtype == np.float32 and np.isfinite(frames).all()
        assert bool(n_samples) == bool(len(frames))  # a sound has a frame, nothing has none

    def test_its_frames_do_not_depend_on_how_a_recording_is_cut_for_reading(self, encoder):
        whole = frames_of(encoder, NOISE)
        np.testing.assert_array_equal(frames_of(encoder, NOISE, encoder.front_end.window_samples), whole)

    def test_its_width_and_frame_rate_are_those_that_were_forecast(self, table, models, encoder):
        forecast = table.forecast(models)
        assert (forecast.width, forecast.frames) == (encoder.n_state, encoder.front_end.frames)
        assert forecast.width == self.width
        assert forecast.frames.per_s == pytest.approx(self.frames_per_s)
        assert encoder.front_end.frames.count(3_600 * RATE_HZ) == pytest.approx(3_600 * self.frames_per_s, abs=2)
        assert forecast.windows_per_s > 0 and not forecast.assumed

    def test_its_mean_count_is_that_of_recordings_of_many_lengths(self, encoder):
        frames = encoder.front_end.frames
        lengths = np.random.default_rng(1).integers(WINDOW // 4, WINDOW, 2_000)
        n_frames = sum(frames.count(int(n)) for n in lengths)
        assert frames.mean(lengths.sum() / RATE_HZ, len(lengths)) == pytest.approx(n_frames, abs=0.05 * len(lengths))

    def test_its_packs_are_read_back_and_have_the_size_that_is_planned(self, table, models, encoder, tmp_path):
        samples = [NOISE[:n] for n in (1, 5 * RATE_HZ + 7, 400, 31 * RATE_HZ)]
        attributes = {"identity": table.identity(models)}
        pack = encode(encoder, tmp_path, samples, attributes=attributes, codec=table.codec)
        assert verify_pack(pack) == []
        for row, one in enumerate(samples):
            stored = read_features(pack.parent, pack.name, row)
            np.testing.assert_array_equal(stored, frames_of(encoder, one).astype(table.codec))
        recorded = json.loads((pack / "zarr.json").read_bytes())["attributes"]
        assert recorded["engine"] == self.engine and recorded["identity"] == table.identity(models)
        assert recorded["engine_version"] == encoder.version
        frames = encoder.front_end.frames
        n_frames = exact(sum(frames.count(len(one)) for one in samples))
        chunk_frames = chunk_frames_of(frames)
        expected = pack_bytes(n_frames, len(samples), self.width, table.codec, chunk_frames=chunk_frames)
        assert abs(size_on_disk(pack) - expected.likely) < 2_500

    def test_wrong_keys_are_one_line_each(self, tmp_path):
        path = tmp_path / "datasets.toml"
        for keys, message in [*self.wrong, ({"spectre": 1}, 'unknown key "spectre"')]:
            lines = [f"{key} = {json.dumps(value)}" for key, value in (self.keys | keys).items() if value is not None]
            path.write_text("\n".join(["[encoders.mine]", *lines]) + "\n", "utf-8")
            with pytest.raises(CatalogError) as caught:
                read_catalog(path)
            assert str(caught.value).startswith(f"datasets.toml: [encoders.mine]: {message}"), str(caught.value)
            assert "\n" not in str(caught.value)
