"""Encoders: two engines, one set of numbers; weights read in every form, and refused in one line."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf
from support.models import random_tensors, write_config, write_model, write_tensors

from earmark.encoders import _engines, whisper
from earmark.encoders.whisper import mel, weights
from earmark.errors import ModelError

ENGINES = ("mlx", "openvino")
FLOAT32_TOLERANCE = 1e-4  # relative L2: what two float32 engines may differ by
HALF_TOLERANCE = {"float16": 5e-3, "bfloat16": 4e-2}  # 11 and 8 significant bits, through two layers
CONFIG = weights.WhisperConfig(80, 1_500, 64, 4, 2)


def forward(tensors, mels, n_head, layers=("last",)):
    """Whisper's encoder in float64 NumPy, by the book: (frames, n_mels) to (frames // 2, n_state) of each layer."""
    tensors = {name.removeprefix("encoder."): tensor.astype(np.float64) for name, tensor in tensors.items()}
    gelu = lambda x: x * (1 + erf(x / np.sqrt(2))) / 2  # noqa: E731

    def convolve(x, name, stride):
        padded = np.pad(x, ((1, 1), (0, 0)))
        taps = [padded[k : k + len(x)][::stride] @ tensors[f"{name}.weight"][:, k].T for k in range(3)]
        return gelu(sum(taps) + tensors[f"{name}.bias"])

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0)

    x = convolve(convolve(mels.astype(np.float64), "conv1", 1), "conv2", 2)
    n_rows, n_state = x.shape
    angles = np.arange(n_rows)[:, None] / 10_000 ** (np.arange(n_state // 2) / (n_state // 2 - 1))
    x = x + np.hstack([np.sin(angles), np.cos(angles)])
    states = {}
    for number, block in enumerate(sorted({name.rsplit(".", 3)[0] for name in tensors if ".attn." in name}), 1):
        hidden = norm(x, f"{block}.attn_ln")
        heads = []
        for part in np.split(np.arange(n_state), n_head):
            query, key, value = (linear(hidden, f"{block}.attn.{one}")[:, part] for one in ("query", "key", "value"))
            scores = query @ key.T / np.sqrt(len(part))
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(scores / scores.sum(-1, keepdims=True) @ value)
        x = x + linear(np.hstack(heads), f"{block}.attn.out")
        x = x + linear(gelu(linear(norm(x, f"{block}.mlp_ln"), f"{block}.mlp1")), f"{block}.mlp2")
        states[number] = x
    states["last"] = norm(x, "ln_post")
    return np.hstack([states[layer] for layer in layers])


def relative(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def noise(n, seed=0):
    return np.random.default_rng(seed).normal(0, 3_000, n).astype(np.int16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clip_encoders(folder):
    return {engine: whisper.open_encoder(folder, engine, "float32", "clip") for engine in ENGINES}


# Numbers


@pytest.mark.slow
@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("engine", ENGINES)
def test_padded_window_agrees_with_float64_numpy(tmp_path, engine, n_mels):
    model = weights.load(write_model(tmp_path, n_mels=n_mels, n_state=32, seed=n_mels))
    mels = mel.log_mel(noise(90_000), n_mels, "padded")
    encoder = whisper.open_encoder(tmp_path, engine, "float32", "padded")
    rows = encoder.encode(mels[None])
    assert rows.shape == (1, 1_500, 32)
    assert rows.dtype == np.float32
    assert (encoder.n_state, encoder.engine) == (32, engine)
    assert encoder.batch >= 1
    assert encoder.version.startswith(engine)
    assert relative(rows[0], forward(model.tensors, mels, 4)) < FLOAT32_TOLERANCE


@settings(deadline=None, max_examples=12)
@given(n=st.integers(1, 40_000))
def test_engines_agree_with_float64_numpy_on_clips_of_any_length(folder, clip_encoders, n):
    mels = mel.log_mel(noise(n, n), 80, "clip")
    expected = forward(weights.load(folder).tensors, mels, 4)
    assert expected.shape == (mel.n_output_frames(n), 64)
    for encoder in clip_encoders.values():
        rows = encoder.encode(mels[None])
        assert rows.shape == (1, *expected.shape)
        assert relative(rows[0], expected) < FLOAT32_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("window", ["padded", "clip"])
@pytest.mark.parametrize("layers", [(2,), (1, 3), (3, "last", 1), ("last",)], ids=str)
@pytest.mark.parametrize("engine", ENGINES)
def test_hidden_states_of_chosen_layers_agree_with_float64_numpy(tmp_path, engine, layers, window):
    model = weights.load(write_model(tmp_path, n_state=32, n_layer=3))
    encoder = whisper.open_encoder(tmp_path, engine, "float32", window, layers)
    assert encoder.n_state == 32 * len(layers)
    mels = mel.log_mel(noise(40_000), 80, window)
    rows = encoder.encode(mels[None])[0]
    expected = forward(model.tensors, mels, 4, layers)
    for part in range(len(layers)):  # each on its own: hidden states before the last layer norm are of other sizes
        own = slice(32 * part, 32 * (part + 1))
        assert relative(rows[:, own], expected[:, own]) < FLOAT32_TOLERANCE
    assert len({round(float(np.abs(expected[:, 32 * part]).sum()), 3) for part in range(len(layers))}) == len(layers)


@pytest.mark.slow
def test_padded_rows_are_those_of_mlx_whisper(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlx.utils import tree_unflatten
        from mlx_whisper.whisper import AudioEncoder
    write_model(tmp_path, n_state=32)
    mels = mel.log_mel(noise(200_000), 80, "padded")[None]
    theirs = AudioEncoder(80, 1_500, 32, 4, 2, dtype=mx.float32)
    stored = mx.load(str(tmp_path / "weights.safetensors"))
    theirs.update(tree_unflatten([(name.removeprefix("encoder."), tensor) for name, tensor in stored.items()]))
    expected = np.array(theirs(mx.array(mels)))
    for engine in ENGINES:
        rows = whisper.open_encoder(tmp_path, engine, "float32", "padded").encode(mels)
        assert relative(rows, expected) < FLOAT32_TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_near_float32_or_refused(folder, clip_encoders, engine, precision):
    mels = mel.log_mel(noise(30_000), 80, "clip")[None]
    expected = clip_encoders[engine].encode(mels)
    if engine == "openvino" and not openvino_computes_in(precision):
        with pytest.raises(ModelError, match=f'precision "{precision}": this CPU cannot .* expected one of float32'):
            whisper.open_encoder(folder, engine, precision, "clip")
        return
    rows = whisper.open_encoder(folder, engine, precision, "clip").encode(mels)
    assert rows.dtype == np.float32
    error = relative(rows, expected)
    assert FLOAT32_TOLERANCE < error < HALF_TOLERANCE[precision]  # not computed in float32 in silence either


def openvino_computes_in(precision):
    import openvino

    capability = {"float16": "FP16", "bfloat16": "BF16"}[precision]
    return capability in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_precision_that_the_cpu_takes_but_does_not_compute_in_is_refused(folder, monkeypatch):
    from earmark.encoders import _openvino

    monkeypatch.setitem(_openvino.CAPABILITIES, "float16", "NEVER")
    with pytest.raises(ModelError, match=r'precision "float16": this CPU .* expected one of float32'):
        whisper.open_encoder(folder, "openvino", "float16", "clip")


@pytest.mark.parametrize("engine", ENGINES)
def test_windows_of_a_batch_do_not_touch_each_other(clip_encoders, engine):
    mels = np.stack([mel.log_mel(noise(6_000, seed), 80, "clip") for seed in range(3)])
    together = clip_encoders[engine].encode(mels)
    alone = np.concatenate([clip_encoders[engine].encode(mels[index : index + 1]) for index in range(3)])
    assert relative(together, alone) < 1e-6
    assert relative(alone[:1], alone[1:2]) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("window", ["padded", "clip"])
def test_audio_over_30_s_gives_50_rows_a_second_in_every_engine(tmp_path, window):
    write_model(tmp_path, n_state=16, n_layer=1)
    samples = noise(480_000 + 12_345)
    results = {}
    for engine in ENGINES:
        encoder = whisper.open_encoder(tmp_path, engine, "float32", window)
        rows = []
        for start, stop in mel.windows(samples.size):
            mels = mel.log_mel(samples[start:stop], 80, window)
            rows.append(encoder.encode(mels[None])[0, : mel.n_output_frames(stop - start)])
        results[engine] = np.concatenate(rows)
    assert results["mlx"].shape == (-(-samples.size // 320), 16)
    assert relative(results["mlx"], results["openvino"]) < FLOAT32_TOLERANCE


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("first", [1, 2])
def test_rows_do_not_depend_on_the_clips_before(folder, engine, precision, first):
    if engine == "openvino" and precision != "float32" and not openvino_computes_in(precision):
        pytest.skip(f"this CPU does not compute in {precision}")
    encoder = whisper.open_encoder(folder, engine, precision, "clip")
    tensors = weights.load(folder).tensors
    for n_rows in (first, 60, 3, 1, 2, 33, first):
        mels = mel.log_mel(noise(320 * n_rows, n_rows), 80, "clip")
        rows = encoder.encode(mels[None])[0]
        assert relative(rows, forward(tensors, mels, 4)) < HALF_TOLERANCE.get(precision, FLOAT32_TOLERANCE), n_rows


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(1, 21, 80), (1, 20, 128), (1, 3_002, 80)])
def test_mels_of_a_wrong_shape_are_a_bug_of_the_caller(clip_encoders, engine, shape):
    with pytest.raises(AssertionError):
        clip_encoders[engine].encode(np.zeros(shape, np.float32))


def test_encoder_serves_another_thread_than_the_one_that_built_it(clip_encoders):
    from concurrent.futures import ThreadPoolExecutor

    mels = mel.log_mel(noise(5_000), 80, "clip")[None]
    with ThreadPoolExecutor(1) as pool:
        for encoder in clip_encoders.values():
            np.testing.assert_array_equal(pool.submit(encoder.encode, mels).result(), encoder.encode(mels))


# Weights


def test_npz_and_safetensors_are_one_model_with_one_hash(tmp_path):
    one = write_model(tmp_path / "one", dtype="float16")
    two = write_model(tmp_path / "two", dtype="float16", container="npz")
    assert weights.weights_hash(one) == weights.weights_hash(two)
    assert weights.weights_file(one).name == "weights.safetensors"
    assert weights.weights_file(two).name == "weights.npz"
    first, second = weights.load(one), weights.load(two)
    assert first.config == second.config == CONFIG
    for name, tensor in first.tensors.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, second.tensors[name])


def test_files_that_mlx_wrote_are_read_alike(tmp_path):
    ours = write_model(tmp_path / "ours")
    tensors = {name: mx.array(tensor) for name, tensor in random_tensors(CONFIG, 0).items()}
    for name, save in (("weights.npz", mx.savez), ("model.safetensors", None)):
        folder = tmp_path / name
        write_config(folder, CONFIG)
        save(str(folder / name), **tensors) if save else mx.save_safetensors(str(folder / name), tensors)
        assert weights.weights_hash(folder) == weights.weights_hash(ours)


def test_hash_sees_each_encoder_bit_and_nothing_else(tmp_path):
    tensors = random_tensors(CONFIG, 0)
    write_model(tmp_path)
    path, before = tmp_path / "weights.safetensors", weights.weights_hash(tmp_path)
    write_tensors(path, {"decoder.ln.weight": np.zeros(4, np.float32), **dict(reversed(tensors.items()))})
    assert weights.weights_hash(tmp_path) == before
    write_tensors(path, {**tensors, "encoder._positional_embedding": weights.sinusoids(1_500, 64).astype(np.float16)})
    assert weights.weights_hash(tmp_path) == before
    weights.load(tmp_path)
    tensors["encoder.ln_post.bias"].view(np.uint32)[5] ^= 1
    write_tensors(path, tensors)
    assert weights.weights_hash(tmp_path) != before


def test_bfloat16_weights_are_read_exactly(tmp_path):
    tensors = random_tensors(CONFIG, 0)
    halves = {name: (tensor.view(np.uint32) >> 16).astype(np.uint16) for name, tensor in tensors.items()}
    write_config(tmp_path, CONFIG)
    write_tensors(tmp_path / "weights.safetensors", halves)
    for name, tensor in weights.load(tmp_path).tensors.items():
        np.testing.assert_array_equal(tensor, (tensors[name].view(np.uint32) & 0xFFFF0000).view(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("container", ["safetensors", "npz"])
@pytest.mark.parametrize(("bits", "group_size"), [(2, 64), (4, 32), (4, 64), (8, 64)])
def test_quantised_weights_are_what_mlx_dequantises(tmp_path, bits, group_size, container):
    tensors, expected = quantised(bits, group_size)
    write_config(tmp_path, CONFIG, quantization={"group_size": group_size, "bits": bits})
    write_tensors(tmp_path / f"weights.{container}", tensors)
    loaded = weights.load(tmp_path).tensors
    assert len(expected) == 12
    for name, tensor in expected.items():
        assert np.abs(loaded[name] - tensor).max() <= 1e-6 * np.abs(tensor).max()
    encoder = whisper.open_encoder(tmp_path, "openvino", "float32", "clip")
    mels = mel.log_mel(noise(9_000), 80, "clip")
    assert relative(encoder.encode(mels[None])[0], forward(loaded, mels, 4)) < FLOAT32_TOLERANCE


def quantised(bits, group_size):
    tensors, expected = random_tensors(CONFIG, 0), {}
    for name in [name for name in tensors if ".blocks." in name and tensors[name].ndim == 2]:
        packed = mx.quantize(mx.array(tensors[name]), group_size=group_size, bits=bits)
        expected[name] = np.array(mx.dequantize(*packed, group_size=group_size, bits=bits))
        base = name.removesuffix("weight")
        tensors |= {
            f"{base}{part}": np.array(one) for part, one in zip(("weight", "scales", "biases"), packed, strict=True)
        }
    return tensors, expected


def test_untrained_model_says_so(tmp_path):
    assert weights.load(write_model(tmp_path / "a", untrained=True)).untrained
    assert not weights.load(write_model(tmp_path / "b")).untrained


# What is refused


def broken(change):
    tensors = random_tensors(CONFIG, 0)
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("encoder.blocks.1.mlp2.bias"),
            r"encoder\.blocks\.1\.mlp2\.bias: wrong weights: expected .* \(64,\), got no such tensor",
        ),
        (
            lambda t: t.update({"encoder.conv1.weight": t["encoder.conv1.weight"].transpose(0, 2, 1)}),
            r"encoder\.conv1\.weight: .*\(64, 3, 80\), got F32 \(64, 80, 3\)",
        ),
        (
            lambda t: t.update({"encoder.blocks.2.mlp2.bias": np.zeros(64, np.float32)}),
            r"encoder\.blocks\.2\.mlp2\.bias: unknown tensor: .* 2 .*did you mean",
        ),
        (
            lambda t: t.update({"encoder.ln_post.bias": np.zeros(64, np.int32)}),
            r"encoder\.ln_post\.bias: dtype .* got I32",
        ),
        (
            lambda t: t.update({"encoder.positional_embedding": np.zeros((1_500, 64), np.float32)}),
            r"not Whisper's position table: expected sinusoids \(1500, 64\), got values off by 1",
        ),
        (
            lambda t: t.update({"encoder._positional_embedding": np.zeros((10, 64), np.float32)}),
            r"position table: .* got \(10, 64\)",
        ),
    ],
)
def test_tensor_that_does_not_fit_is_named(tmp_path, change, message):
    write_config(tmp_path, CONFIG)
    write_tensors(tmp_path / "weights.safetensors", broken(change))
    with pytest.raises(ModelError, match=message) as caught:
        weights.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_mels": None}, r"missing n_mels: expected the configuration of a Whisper model in MLX format"),
        ({"n_mels": None, "d_model": 384}, r"missing n_mels.*transformers model"),
        ({"n_audio_heads": 4}, r'unknown key "n_audio_heads" \(did you mean "n_audio_head"\?\)'),
        ({"n_mels": 81}, r"n_mels: wrong value: expected 80 or 128, got 81"),
        ({"n_audio_ctx": 750}, r"n_audio_ctx: wrong value: expected 1,500 \(30 s\), got 750"),
        ({"n_audio_head": 5}, r"n_audio_head: wrong value: expected a divisor of n_audio_state 64, got 5"),
        ({"n_audio_state": "64"}, r"n_audio_state: wrong value: expected a whole number from 1, got '64'"),
        ({"n_audio_layer": True}, r"n_audio_layer: wrong value: expected a whole number from 1, got True"),
        ({"quantization": {"group_size": 64, "bits": 3}}, r"quantization that cannot be read: .*\"bits\": 3"),
        (
            {"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}},
            r"quantization that cannot be read: .*mxfp4",
        ),
        ({"quantization": 4}, r"quantization that cannot be read: .* got 4"),
    ],
)
def test_configuration_that_is_not_whispers_is_refused_in_one_line(tmp_path, change, message):
    path = write_model(tmp_path) / "config.json"
    merged = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))
    with pytest.raises(ModelError, match=message) as caught:
        weights.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_config_that_is_no_json_object_is_refused(tmp_path, text):
    (write_model(tmp_path) / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json: not (JSON|a model configuration)"):
        weights.read_config(tmp_path)


def test_missing_folder_config_or_weights_says_what_to_put_where(tmp_path):
    with pytest.raises(
        ModelError, match=r"none: not a model folder: expected config\.json .* got no such folder\. Put"
    ):
        weights.weights_file(tmp_path / "none")
    with pytest.raises(ModelError, match=r"got no such file\. Put"):
        weights.weights_file(tmp_path)
    write_config(tmp_path, CONFIG)
    with pytest.raises(ModelError, match=r"no weights: expected one of weights\.safetensors, weights\.npz"):
        weights.load(tmp_path)


@pytest.mark.parametrize("container", ["safetensors", "npz"])
@pytest.mark.parametrize("kept", [0, 5, 500, 40_000])
def test_cut_weights_are_called_damaged(tmp_path, container, kept):
    path = write_model(tmp_path, container=container) / f"weights.{container}"
    path.write_bytes(path.read_bytes()[:kept])
    for read in (weights.load, weights.weights_hash):
        with pytest.raises(
            ModelError, match=rf"weights\.{container}: damaged weights: .* got {kept:,} bytes"
        ) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


# Names


def test_engine_that_is_unknown_or_not_installed_is_refused(monkeypatch):
    with pytest.raises(ModelError, match=r'engine "openvin": unknown: .*\(did you mean "openvino"\?\)'):
        _engines.choose_engine("openvin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ModelError, match=r'engine "openvino": not installed: expected the package openvino.*pip install'
    ):
        _engines.choose_engine("openvino")


@pytest.mark.parametrize(
    ("system", "machine", "installed", "expected"),
    [
        ("darwin", "arm64", (), "mlx"),
        ("darwin", "x86_64", (), "openvino"),
        ("linux", "x86_64", (), "openvino"),
        ("linux", "x86_64", ("mlx-cuda-13",), "mlx"),
        ("linux", "aarch64", ("mlx-cuda-12",), "mlx"),
    ],
)
def test_auto_takes_mlx_where_it_has_a_gpu(monkeypatch, system, machine, installed, expected):
    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert _engines.choose_engine("auto") == expected


@pytest.mark.parametrize(
    ("precision", "window", "message"),
    [("float23", "clip", r'precision "float23": unknown.*did you mean'), ("float32", "clp", r'window "clp".*"clip"\?')],
)
def test_unknown_precision_or_window_is_refused(folder, precision, window, message):
    with pytest.raises(ModelError, match=message):
        whisper.open_encoder(folder, "openvino", precision, window)
    with pytest.raises(ModelError, match=message):
        whisper.identity("00", CONFIG, window=window, precision=precision, codec="float16")


def test_identity_names_all_that_names_the_numbers_and_not_the_engine():
    def make(weights_hash="ab", config=CONFIG, window="padded", precision="float32", codec="float16", layers=()):
        keys = {"window": window, "precision": precision, "codec": codec, "layers": layers}
        return whisper.identity(weights_hash, config, **keys)

    one = make()
    assert one["kind"] == "whisper"
    assert json.loads(json.dumps(one)) == one
    assert not any(engine in json.dumps(one) for engine in ENGINES)
    others = [
        make(weights_hash="cd"),
        make(config=dataclasses.replace(CONFIG, n_audio_head=8)),
        make(window="clip"),
        make(precision="bfloat16"),
        make(codec="int8"),
        make(layers=(1,)),
        make(layers=(1, "last")),
        make(layers=("last", 1)),
    ]
    assert len({json.dumps(other) for other in [one, *others]}) == 9
    assert "layers" not in make(layers=())
    assert one["mel"] == {"rate_hz": mel.RATE_HZ, "n_fft": mel.N_FFT, "hop": mel.HOP, "n_mels": 80, "scale": "slaney"}


# Where a model comes from


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub" / "models--some--model"


def write_snapshot(hub, complete=True):
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("abc123\n")
    snapshot = write_model(hub / "snapshots" / "abc123")
    if not complete:
        (snapshot / "weights.safetensors").unlink()
    return snapshot


def no_network(*_, **__):
    raise ConnectionError("no route\nto host")


def test_local_folder_wins_over_the_hub(tmp_path, hub):
    write_snapshot(hub)
    local = write_model(tmp_path / "some" / "model")
    assert weights.resolve("some/model", tmp_path) == weights.resolve_cached("some/model", tmp_path) == local
    assert weights.resolve(str(local), tmp_path / "elsewhere") == local


def test_cached_snapshot_needs_no_network(tmp_path, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    assert weights.resolve_cached("some/model", tmp_path) is None
    snapshot = write_snapshot(hub)
    assert weights.resolve("some/model", tmp_path) == weights.resolve_cached("some/model", tmp_path) == snapshot


@pytest.mark.parametrize("name", ["HF_HOME", "XDG_CACHE_HOME"])
def test_cache_is_where_the_hubs_own_variables_put_it(tmp_path, monkeypatch, name):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, str(tmp_path))
    home = tmp_path / ("hub" if name == "HF_HOME" else "huggingface/hub")
    snapshot = write_snapshot(home / "models--some--model")
    assert weights.resolve_cached("some/model", tmp_path / "base") == snapshot


def test_interrupted_download_is_fetched_again(tmp_path, hub, monkeypatch):
    snapshot = write_snapshot(hub, complete=False)
    assert weights.resolve_cached("some/model", tmp_path) is None
    asked = []

    def download(repository, *, allow_patterns, etag_timeout):
        asked.append((repository, allow_patterns, etag_timeout))
        write_model(snapshot)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert weights.resolve("some/model", tmp_path) == snapshot
    assert asked == [("some/model", ["config.json", "weights.*", "model.safetensors"], 5.0)]


def test_model_that_cannot_be_fetched_is_one_line(tmp_path, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    message = (
        r'model "some/model": cannot be fetched: .*ConnectionError \(no route to host\)\. Run `hf download some/model`'
    )
    with pytest.raises(ModelError, match=message) as caught:
        weights.resolve("some/model", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["whisper", "a/b/c", "../up", "/nowhere/at/all", "~/none", "-/../x"])
def test_name_that_is_neither_folder_nor_hub_id_is_refused(tmp_path, hub, model):
    assert weights.resolve_cached(model, tmp_path) is None
    with pytest.raises(ModelError, match=r"not found: expected a folder below .* or a hub id"):
        weights.resolve(model, tmp_path)


# Start-up


def run_python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_names_and_cached_models_are_known_without_heavy_imports(tmp_path):
    run_python(f"""if True:
        import sys
        from pathlib import Path
        from earmark.encoders import _engines, whisper
        from earmark.encoders.whisper import weights
        folder = Path({str(write_model(tmp_path))!r})
        _engines.choose_engine("auto")
        config = weights.read_config(weights.resolve_cached(str(folder), folder))
        weights.resolve_cached("some/model", folder)
        whisper.identity("00", config, window="clip", precision="float32", codec="float16")
        heavy = {{"mlx", "mlx.core", "openvino", "numpy", "huggingface_hub", "mlx_whisper"}} & set(sys.modules)
        assert not heavy, heavy
    """)


def test_openvino_reports_to_nobody(tmp_path):
    model, home = write_model(tmp_path / "model", n_layer=1), tmp_path / "home"
    home.mkdir()
    code = f"""if True:
        import socket, sys
        def refuse(*args, **kwargs):
            raise AssertionError("network")
        socket.socket.connect = socket.getaddrinfo = refuse
        from pathlib import Path
        from earmark.encoders import whisper
        whisper.open_encoder(Path({str(model)!r}), "openvino", "float32", "clip")
        assert not [name for name in sys.modules if "telemetry" in name or "tools.ovc" in name]
    """
    run_python(code, HOME=str(home))
    assert not list(Path(home).iterdir())
