import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.demo import corpus, voice
from earmark.disk.files import Scratch
from earmark.disk.hashing import HashMemo
from earmark.encoders import ModelStore, parse_table
from earmark.errors import ModelAbsentError, ModelError

RATE_HZ = 16_000
WRITE = """
import sys
from pathlib import Path
from earmark.demo import corpus as demo
from earmark.disk.files import Scratch
here = Path(sys.argv[1])
demo.write_corpus(here / "demo.tar.gz", Scratch(here / "tmp"))
demo.write_model(here / "model", Scratch(here / "tmp"))
"""


def in_new_process(program, *arguments, hash_seed="0"):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    here = tmp_path_factory.mktemp("demo")
    corpus.write_corpus(here / "demo.tar.gz", Scratch(here / "tmp"))
    corpus.write_model(here / "model", Scratch(here / "tmp"))
    return here


@pytest.fixture(scope="module")
def members(written):
    with tarfile.open(written / "demo.tar.gz") as tar:
        return [(member, tar.extractfile(member).read() if member.isfile() else None) for member in tar]


@pytest.fixture(scope="module")
def files(members):
    return {member.name: data for member, data in members if data is not None}


@pytest.fixture(scope="module")
def texts(files):
    lines = [line for name, data in files.items() if name.endswith(".trans.txt") for line in data.decode().splitlines()]
    return dict(line.split(" ", 1) for line in lines)


@pytest.fixture(scope="module")
def sounds(files):
    whole = {Path(name).stem: data for name, data in files.items() if name.endswith(".flac")}
    del whole[corpus.BROKEN]
    return {name: soundfile.read(io.BytesIO(data)) for name, data in whole.items()}


def dbfs(samples):
    return 10 * np.log10(np.mean(samples**2))


def pitch_hz(samples, lowest_hz=70, highest_hz=320):
    """The strongest autocorrelation peak of 40 ms windows, and how strong it is against the power."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, 640)[::640]
    windows = windows[np.mean(windows**2, axis=1) > np.mean(samples**2)]
    power = np.abs(np.fft.rfft(windows - windows.mean(axis=1, keepdims=True), 1280)) ** 2
    correlation = np.fft.irfft(power)[:, :640] / (640 - np.arange(640))
    lags = np.arange(RATE_HZ // highest_hz, RATE_HZ // lowest_hz)
    best = correlation[:, lags].argmax(axis=1)
    return RATE_HZ / lags[best], correlation[:, lags].max(axis=1) / correlation[:, 0]


def resonances_hz(samples, order=18):
    """Narrow poles of a linear prediction by the autocorrelation method, lowest first."""
    emphasised = np.diff(samples) * np.hanning(len(samples) - 1)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(emphasised, 2 * len(samples))) ** 2)[: order + 1]
    toeplitz = correlation[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))]
    roots = np.roots([1, *-np.linalg.solve(toeplitz, correlation[1:])])
    roots = roots[roots.imag > 0]
    frequency, bandwidth = np.angle(roots) * RATE_HZ / (2 * np.pi), -np.log(np.abs(roots)) * RATE_HZ / np.pi
    return np.sort(frequency[(bandwidth < 500) & (frequency > 150)])


def hold(phone, speaker):
    return voice.synthesise([phone] * 8, speaker, np.random.Generator(np.random.PCG64(1)))


def test_second_run_in_another_process_writes_the_same_bytes(written, tmp_path):
    in_new_process(WRITE, tmp_path, hash_seed="7")
    for name in ("demo.tar.gz", "model/config.json", "model/weights.safetensors"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes(), name


def test_nothing_unfinished_is_left_behind(written):
    assert list((written / "tmp").iterdir()) == []
    assert {path.name for path in written.iterdir()} == {"demo.tar.gz", "model", "tmp"}


def test_archive_members_are_sorted_and_carry_no_trace_of_who_packed_them_when(written, members):
    assert (written / "demo.tar.gz").read_bytes()[:8] == b"\x1f\x8b\x08\x00\0\0\0\0"  # no name, no time
    names = [member.name for member, _ in members]
    assert names == sorted(names)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m, _ in members} == {(0, 0, "", "", 0)}
    assert all(member.isfile() or member.isdir() for member, _ in members)


def test_every_recording_decodes_at_16_khz_mono_16_bits_but_the_broken_one(files):
    undecodable = []
    for name, data in files.items():
        if name.endswith(".flac"):
            info = soundfile.info(io.BytesIO(data))
            assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 1, "PCM_16")
            try:
                samples, _ = soundfile.read(io.BytesIO(data))
            except soundfile.LibsndfileError:
                undecodable.append(Path(name).stem)
            else:
                assert len(samples) == info.frames
    assert undecodable == [corpus.BROKEN]


def test_each_file_lies_where_librispeech_puts_it_and_has_one_line_of_upper_case_text(files, texts):
    flacs = {Path(name).stem: name for name in files if name.endswith(".flac")}
    assert sum(data.count(b"\n") for name, data in files.items() if name.endswith(".trans.txt")) == len(texts)
    assert flacs.keys() == texts.keys()
    for name, path in flacs.items():
        speaker, chapter, number = name.split("-")
        split = path.split("/")[1]
        assert path == f"LibriSpeech/{split}/{speaker}/{chapter}/{name}.flac"
        assert f"LibriSpeech/{split}/{speaker}/{chapter}/{speaker}-{chapter}.trans.txt" in files
        assert len(number) == 4
        assert texts[name] == " ".join(texts[name].upper().split())
        assert texts[name] != ""


def test_corpus_is_small_varied_and_has_recordings_over_one_and_two_windows(files, sounds):
    seconds = {name: len(samples) / rate for name, (samples, rate) in sounds.items()}
    assert len(sounds) + 1 >= 48
    assert {name.split("/")[1] for name in files if name.count("/") > 2} == {
        "train-clean-100",
        "dev-clean",
        "test-clean",
    }
    speakers = {split: set() for split in ("train-clean-100", "dev-clean", "test-clean")}
    for name in files:
        if name.endswith(".flac"):
            speakers[name.split("/")[1]].add(name.split("/")[2])
    assert len(speakers["train-clean-100"]) >= 3
    assert len(set.union(*speakers.values())) == sum(map(len, speakers.values()))
    short = [duration for duration in seconds.values() if duration < 30]
    assert 1.5 <= min(short) <= max(short) <= 14
    assert len(seconds) - len(short) == 3
    assert max(seconds.values()) > 60
    assert sum(seconds.values()) < 6 * 60


def test_tables_name_each_speaker_and_chapter_and_their_minutes(files, sounds, texts):
    def rows(name):
        lines = files[f"LibriSpeech/{name}"].decode().splitlines()
        return [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]

    speakers, chapters = rows("SPEAKERS.TXT"), rows("CHAPTERS.TXT")
    assert {len(row) for row in speakers} == {5}
    assert {len(row) for row in chapters} == {8}
    assert {row[0] for row in speakers} == {name.split("-")[0] for name in texts}
    assert {(row[1], row[0]) for row in chapters} == {tuple(name.split("-")[:2]) for name in texts}
    assert {row[1] for row in speakers} == {"F", "M"}
    for number, *_, minutes, _ in speakers:
        if not corpus.BROKEN.startswith(number):
            spoken_s = sum(len(samples) for name, (samples, _) in sounds.items() if name.startswith(number)) / RATE_HZ
            assert float(minutes) == pytest.approx(spoken_s / 60, abs=0.01)
    assert corpus.BROKEN in files["LibriSpeech/README.TXT"].decode()


def test_text_is_a_chain_of_sentences(texts):
    kind_of = {word: kind for kind, words in corpus.WORDS.items() for word in words}
    noun_phrase = r"determiner (adjective )?noun "
    for name, text in texts.items():
        kinds = "".join(f"{kind_of[word]} " for word in text.split())
        clause = f"{noun_phrase}(verb {noun_phrase}(place {noun_phrase})?)?"
        assert re.fullmatch(f"{clause}(link {clause})*", kinds), (name, text)


def test_text_and_sound_are_of_one_length(sounds, texts):
    for name, (samples, _) in sounds.items():
        assert len(samples) == round(corpus.duration_s(corpus.phones_of(texts[name].split())) * RATE_HZ), name


def test_no_two_recordings_are_the_same(sounds):
    assert len({samples.tobytes() for samples, _ in sounds.values()}) == len(sounds)


def test_levels_are_those_of_speech_and_nothing_clips(sounds):
    for name, (samples, _) in sounds.items():
        assert -35 < dbfs(samples) < -12, name
        assert np.abs(samples).max() < 0.95, name
        assert -70 < dbfs(samples[: RATE_HZ // 20]) < -55, name  # the room before the first word


@pytest.mark.parametrize("speaker", corpus.SPEAKERS, ids=lambda speaker: speaker.name)
def test_voiced_parts_have_the_speakers_pitch(sounds, speaker):
    spoken = np.concatenate([samples for name, (samples, _) in sounds.items() if name.startswith(str(speaker.number))])
    pitch, strength = pitch_hz(spoken[: 30 * RATE_HZ])
    assert np.median(strength) > 0.6
    assert np.median(pitch) == pytest.approx(speaker.f0_hz, rel=0.12)


def test_sound_has_pauses_voice_and_hiss(sounds):
    samples, _ = sounds["90003-900031-0001"]  # "THE FISH SAW HER CAT ..."
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    level = 10 * np.log10(np.mean(frames**2, axis=1))
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(320))) ** 2
    high = spectrum[:, 50:].sum(axis=1) / spectrum.sum(axis=1)  # above 2.5 kHz
    loud = level > -40
    assert np.mean(level < -55) > 0.05
    assert np.mean(high[loud] > 0.8) > 0.05
    assert np.mean(high[loud] < 0.2) > 0.4


@pytest.mark.parametrize("phone", voice.VOWELS)
@pytest.mark.parametrize("speaker", [corpus.SPEAKERS[0], corpus.SPEAKERS[2]], ids=["woman", "man"])
def test_vowel_resonates_at_its_own_formants(phone, speaker):
    found = resonances_hz(hold(phone, speaker)[4800:9600])
    for formant in voice.targets_of(phone, speaker.sex)[0].formants_hz:
        assert np.abs(found / formant - 1).min() < 0.12, (formant, found)


@pytest.mark.parametrize(
    ("phone", "sex", "formants_hz"),  # the corners of Peterson and Barney's chart
    [
        ("IY", "M", (270, 2290, 3010)),
        ("AA", "M", (730, 1090, 2440)),
        ("UW", "M", (300, 870, 2240)),
        ("IY", "F", (310, 2790, 3310)),
        ("AA", "F", (850, 1220, 2810)),
        ("UW", "F", (370, 950, 2670)),
    ],
)
def test_corner_vowels_are_those_of_the_published_table(phone, sex, formants_hz):
    speaker = next(speaker for speaker in corpus.SPEAKERS if speaker.sex == sex)
    assert voice.targets_of(phone, sex)[0].formants_hz == formants_hz
    found = resonances_hz(hold(phone, speaker)[4800:9600])
    assert all(np.abs(found / formant - 1).min() < 0.12 for formant in formants_hz)


def test_vowel_is_a_comb_of_harmonics_and_not_a_tone():
    speaker = corpus.SPEAKERS[2]
    samples = hold("AA", speaker)[4800:9600]
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(samples * np.hanning(4800))))
    pitch = np.median(pitch_hz(samples)[0])
    bins = np.round(np.arange(1, 16) * pitch * 4800 / RATE_HZ).astype(int)
    peaks = np.array([spectrum[at - 5 : at + 6].max() for at in bins])
    assert np.all(peaks > spectrum.max() - 45)


def test_hiss_of_s_lies_above_that_of_sh():
    def centre_hz(phone):
        spectrum = np.abs(np.fft.rfft(hold(phone, corpus.SPEAKERS[1]))) ** 2
        return np.sum(spectrum * np.fft.rfftfreq(2 * len(spectrum) - 2, 1 / RATE_HZ)) / spectrum.sum()

    assert centre_hz("SH") < 4200 < 5000 < centre_hz("S")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(sorted(corpus.PHONES)), max_size=12), st.sampled_from(corpus.SPEAKERS))
def test_any_words_become_finite_sound_of_the_length_of_their_phones(words, speaker):
    phones = corpus.phones_of(words)
    samples = voice.synthesise(phones, speaker, np.random.Generator(np.random.PCG64(2)))
    assert samples.shape == (round(corpus.duration_s(phones) * RATE_HZ),)
    assert samples.dtype == np.float64
    assert np.all(np.isfinite(samples))


def encoder_tensor_shapes():
    """Whisper-tiny's encoder as MLX stores it, written down apart from the module under test."""
    shapes = {f"conv1.{part}": (384, 3, 80) if part == "weight" else (384,) for part in ("weight", "bias")}
    shapes |= {f"conv2.{part}": (384, 3, 384) if part == "weight" else (384,) for part in ("weight", "bias")}
    shapes |= {f"ln_post.{part}": (384,) for part in ("weight", "bias")}
    for n in range(4):
        shapes |= {f"blocks.{n}.attn.{part}.weight": (384, 384) for part in ("query", "key", "value", "out")}
        shapes |= {f"blocks.{n}.attn.{part}.bias": (384,) for part in ("query", "value", "out")}
        shapes |= {f"blocks.{n}.{ln}.{part}": (384,) for ln in ("attn_ln", "mlp_ln") for part in ("weight", "bias")}
        shapes |= {f"blocks.{n}.mlp1.weight": (1536, 384), f"blocks.{n}.mlp1.bias": (1536,)}
        shapes |= {f"blocks.{n}.mlp2.weight": (384, 1536), f"blocks.{n}.mlp2.bias": (384,)}
    return {f"encoder.{name}": shape for name, shape in shapes.items()}


def test_mlx_reads_the_weights_under_the_names_and_shapes_of_the_real_encoder(written):
    mx = pytest.importorskip("mlx.core")
    tensors = mx.load(str(written / "model" / "weights.safetensors"))
    assert {name: tensor.shape for name, tensor in tensors.items()} == encoder_tensor_shapes()
    assert {tensor.dtype for tensor in tensors.values()} == {mx.float16}
    expected = corpus.untrained_tensors(corpus.encoder_shapes(corpus.TINY))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(np.array(tensor), expected[name])


def test_config_is_whisper_tinys_and_says_that_it_is_untrained(written):
    config = json.loads((written / "model" / "config.json").read_text())
    assert config.pop("untrained") is True
    assert config == {
        **{"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6, "n_audio_layer": 4},
        **{"n_vocab": 51865, "n_text_ctx": 448, "n_text_state": 384, "n_text_head": 6, "n_text_layer": 4},
    }


def norm(x, weights, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def convolve(x, weights, name, stride):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (0, 0))), 3, axis=0)[::stride]
    return gelu(np.einsum("tik,oki->to", windows, weights[f"{name}.weight"]) + weights[f"{name}.bias"])


def attention(x, weights, name):
    query, key, value = (
        linear(x, weights, f"{name}.{part}").reshape(-1, 6, 64).swapaxes(0, 1) for part in ("query", "key", "value")
    )
    score = np.exp(query @ key.swapaxes(1, 2) / 8)
    mixed = (score / score.sum(-1, keepdims=True)) @ value
    return linear(mixed.swapaxes(0, 1).reshape(-1, 384), weights, f"{name}.out")


def test_activations_stay_sane_through_the_untrained_layers():
    tensors = corpus.untrained_tensors(corpus.encoder_shapes(corpus.TINY))
    weights = {name.removeprefix("encoder."): tensor.astype(np.float32) for name, tensor in tensors.items()}
    mel = np.random.default_rng(3).uniform(-0.8, 1.5, (120, 80)).astype(np.float32)
    x = convolve(convolve(mel, weights, "conv1", 1), weights, "conv2", 2)
    for n in range(4):
        x = x + attention(norm(x, weights, f"blocks.{n}.attn_ln"), weights, f"blocks.{n}.attn")
        hidden = gelu(linear(norm(x, weights, f"blocks.{n}.mlp_ln"), weights, f"blocks.{n}.mlp1"))
        x = x + linear(hidden, weights, f"blocks.{n}.mlp2")
        assert 0.1 < x.std() < 10
        assert np.abs(x).max() < 100
    features = norm(x, weights, "ln_post")
    assert np.std(features - features.mean(axis=0), axis=0).mean() > 0.05  # frames still differ: no collapse


@settings(deadline=None, max_examples=20)
@given(
    st.dictionaries(
        st.text("abc.Å", min_size=1, max_size=9), st.lists(st.integers(1, 5), min_size=1, max_size=3), max_size=4
    )
)
def test_container_gives_back_any_tensors_from_an_aligned_header(shapes):
    mx = pytest.importorskip("mlx.core")
    tensors = corpus.untrained_tensors({name: tuple(shape) for name, shape in shapes.items()})
    data = corpus.safetensors_bytes(tensors)
    assert int.from_bytes(data[:8], "little") % 8 == 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        path.write_bytes(data)
        back = {name: np.array(tensor) for name, tensor in mx.load(str(path)).items()}
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)


def test_model_replaces_an_earlier_demo_model_and_an_empty_folder(tmp_path):
    folder, scratch = tmp_path / "model", Scratch(tmp_path / "tmp")
    folder.mkdir()
    corpus.write_model(folder, scratch)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    corpus.write_model(folder, scratch)
    assert (folder / "weights.safetensors").stat().st_size > 10_000_000
    assert {path.name for path in folder.iterdir()} == {"config.json", "seal.json", "weights.safetensors"}


@pytest.mark.parametrize("name", ["config.json", "seal.json", "weights.safetensors"])
def test_a_damaged_demo_model_is_written_again_before_anything_is_encoded_with_it(tmp_path, name):
    models = ModelStore(tmp_path, tmp_path / "models", Scratch(tmp_path / "tmp"), HashMemo(tmp_path / "memo.db"))
    table = parse_table({"model": "earmark:demo", "engine": "openvino"})
    table.prepare(models)
    before = table.identity(models)
    path = next(models.folder.glob(f"*/{name}"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 128
    path.write_bytes(data)
    with pytest.raises(ModelAbsentError, match="was changed since it was written here"):
        table.identity(models)
    table.prepare(models)
    assert table.identity(models) == before


@pytest.mark.parametrize("config", ['{"n_mels": 80}', "[]", "no json", None])
def test_model_of_somebody_else_is_never_replaced(tmp_path, config):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"precious")
    if config is not None:
        (folder / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r'model: not a demo model: expected "untrained": true .* Choose another'):
        corpus.write_model(folder, Scratch(tmp_path / "tmp"))
    assert (folder / "weights.safetensors").read_bytes() == b"precious"


def test_import_loads_nothing_heavy():
    heavy = "{'numpy', 'soundfile', 'mlx', 'mlx.core', 'scipy', 'openvino', 'zarr'}"
    assert in_new_process(f"import sys, earmark.demo; print({heavy} & set(sys.modules))").strip() == "set()"
