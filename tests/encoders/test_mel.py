"""The log-mel spectrogram: the same as MLX's Whisper computes, for every length."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.encoders.mel import true_mel
from earmark.encoders.whisper import mel

TOLERANCE = 1e-4  # of the scaled log10: float32 rounding of two transforms, 8 decades below the loudest value


@pytest.fixture(scope="module")
def mlx_audio():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that mlx_whisper imports
        import mlx_whisper.audio
    return mlx_whisper.audio


def reference(mlx_audio, samples, n_mels, length):
    padded = np.zeros(length, dtype=np.float32)
    padded[: samples.size] = samples / 32768
    return np.array(mlx_audio.log_mel_spectrogram(padded, n_mels))


def sounds():
    random = np.random.default_rng(7)
    time_s = np.arange(480_000) / 16_000
    click = np.zeros(400_000)
    click[1_234] = 32_767
    return {
        "noise": random.normal(0, 4_000, 100_001),
        "loud tone to the last sample": 32_000 * np.sin(2 * np.pi * 440 * time_s),
        "tone that ends 150 samples before the window": 9_000 * np.sin(2 * np.pi * 3_000 * time_s[:-150]),
        "silence": np.zeros(20_000),
        "near silence": random.integers(-1, 2, 479_700),
        "click": click,
        "one sample": np.array([32_767.0]),
    }


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("name", list(sounds()))
def test_padded_mel_is_that_of_mlx_whisper_after_pad_or_trim(mlx_audio, name, n_mels):
    samples = np.clip(sounds()[name], -32_768, 32_767).astype(np.int16)
    ours = mel.log_mel(samples, n_mels, "padded")
    assert ours.shape == (3_000, n_mels)
    assert ours.dtype == np.float32
    assert np.abs(ours - reference(mlx_audio, samples, n_mels, 480_000)).max() < TOLERANCE


@settings(deadline=None, max_examples=40)
@given(
    n=st.one_of(st.integers(1, 1_000), st.integers(1, 60_000)),
    seed=st.integers(0, 99),
    n_mels=st.sampled_from([80, 128]),
)
def test_clip_mel_is_that_of_mlx_whisper_on_whole_rows(mlx_audio, n, seed, n_mels):
    samples = np.random.default_rng(seed).normal(0, 3_000, n).astype(np.int16)
    ours = mel.log_mel(samples, n_mels, "clip")
    rows = mel.n_output_frames(n)
    assert ours.shape == (2 * rows, n_mels)
    assert np.abs(ours - reference(mlx_audio, samples, n_mels, 320 * rows)).max() < TOLERANCE


def test_clip_of_a_full_window_equals_its_padded_mel():
    samples = np.random.default_rng(3).normal(0, 3_000, 480_000).astype(np.int16)
    np.testing.assert_array_equal(mel.log_mel(samples, 80, "clip"), mel.log_mel(samples, 80, "padded"))


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 480_000), n_mels=st.sampled_from([80, 128]))
def test_mel_of_true_length_filled_up_is_the_padded_one_but_for_its_last_frames(n, n_mels):
    samples = np.random.default_rng(n).normal(0, 3_000, n).astype(np.int16)
    true, padded = true_mel(samples, n_mels), mel.log_mel(samples, n_mels, "padded")
    assert true.shape == (-(-n // 160), n_mels)
    heard = max(0, (n - mel.N_FFT // 2) // mel.HOP)  # frames whose transform ends before the sound does
    loudest_is_in_both = true[:heard].max(initial=-1) == padded.max() == true.max()
    if loudest_is_in_both:  # else the end, mirrored, was louder than all before it, and scaled the others
        np.testing.assert_allclose(true[:heard], padded[:heard], rtol=0, atol=1e-6)
        assert (padded[heard + 5 :] == padded.min()).all()


@pytest.mark.parametrize("n_mels", [80, 128])
def test_filterbank_is_the_one_that_mlx_whisper_ships(mlx_audio, n_mels):
    theirs = np.array(mlx_audio.mel_filters(n_mels))
    assert mel.mel_filters(n_mels).shape == (n_mels, 201)
    np.testing.assert_allclose(mel.mel_filters(n_mels), theirs, rtol=0, atol=1e-8)


@given(n=st.one_of(st.integers(1, 3_000_000), st.integers(1, 6).map(lambda k: 480_000 * k)))
def test_rows_of_the_windows_add_up_to_the_rows_of_the_recording(n):
    windows = mel.windows(n)
    assert [0, *(stop for _, stop in windows)] == [*(start for start, _ in windows), n]
    assert all(0 < stop - start <= 480_000 for start, stop in windows)
    assert all(stop - start == 480_000 for start, stop in windows[:-1])
    assert sum(mel.n_output_frames(stop - start) for start, stop in windows) == mel.n_output_frames(n) == -(-n // 320)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(480_001, np.int16), np.zeros(9, np.float32)])
def test_samples_that_are_no_window_of_int16_are_a_bug_of_the_caller(samples):
    with pytest.raises(AssertionError):
        mel.log_mel(samples, 80, "padded")
