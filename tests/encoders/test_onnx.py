"""ONNX models: the numbers are those of the ONNX standard, frames are counted by asking, and what does not fit is named."""

import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from support.encoder_promises import NOISE, frames_of, store
from support.onnx_models import HUBERT, Graph, value, write_hubert, write_mel_model

from earmark import encoders
from earmark.encoders import Frames
from earmark.encoders.mel import true_mel
from earmark.encoders.onnx import graph
from earmark.errors import ModelError
from earmark.rates import RATE_HZ

TOLERANCE = 1e-5  # of values near 1: float32, through seven convolutions and two blocks
DEEP = [(10, 5), (8, 4), (4, 2), (4, 2)]  # a wav2vec-like stack without HuBERT's frame rate


def table(**keys):
    return encoders.parse_table({"kind": "onnx", "model": "model.onnx", "codec": "float32"} | keys)


def reference(path, names, **inputs):
    """Return some tensors of a model as ONNX's own reference computes them."""
    return [rows[0] for rows in ReferenceEvaluator(str(path)).run(names, inputs)]


def scaled(samples):
    return (samples / 32_768).astype(np.float32)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(n=st.integers(400, 3_000), seed=st.integers(0, 3))
def test_frames_are_those_of_onnx_itself(tmp_path_factory, n, seed):
    home = tmp_path_factory.mktemp("onnx")
    path = write_hubert(home / "model.onnx", seed)
    frames = frames_of(table(outputs=["last_hidden_state", "first"]).open(store(home)), NOISE[:n])
    expected = reference(path, ["last_hidden_state", "first"], input_values=scaled(NOISE[:n])[None])
    np.testing.assert_allclose(frames, np.hstack(expected), rtol=0, atol=TOLERANCE)


def test_normalized_samples_have_mean_zero_and_variance_one(tmp_path):
    path = write_hubert(tmp_path / "model.onnx")
    frames = frames_of(table(normalize=True).open(store(tmp_path)), NOISE[:9_000])
    samples = scaled(NOISE[:9_000])
    (expected,) = reference(
        path, ["last_hidden_state"], input_values=((samples - samples.mean()) / samples.std())[None]
    )
    np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-4)


def test_a_log_mel_goes_in_as_the_kind_mel_gives_it(tmp_path):
    path = write_mel_model(tmp_path / "model.onnx", n_mels=128)
    frames = frames_of(table(input="mel", n_mels=128).open(store(tmp_path)), NOISE[:50_001])
    (expected,) = reference(path, None, input_features=true_mel(NOISE[:50_001], 128).T[None])
    assert frames.shape == expected.shape == (157, 8)
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_a_tensor_inside_of_the_graph_can_be_kept(tmp_path):
    path = write_hubert(tmp_path / "model.onnx")
    names = [node.output[0] for node in onnx.load(path).graph.node]
    assert "second" in names and "second" not in [one.name for one in onnx.load(path).graph.output]
    kept = frames_of(table(outputs=["second"]).open(store(tmp_path)), NOISE[:4_000])
    last = frames_of(table().open(store(tmp_path)), NOISE[:4_000])
    np.testing.assert_allclose(np.tanh(kept), last, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_an_attention_mask_says_that_all_is_sound(tmp_path):
    write_hubert(tmp_path / "masked.onnx", mask=True)
    write_hubert(tmp_path / "model.onnx")
    masked, plain = table(model="masked.onnx").open(store(tmp_path)), table().open(store(tmp_path))
    assert masked.front_end.frames == plain.front_end.frames
    expected = reference(
        tmp_path / "masked.onnx",
        ["last_hidden_state"],
        input_values=scaled(NOISE[:3_000])[None],
        attention_mask=np.ones((1, 3_000), np.int64),
    )
    np.testing.assert_allclose(frames_of(masked, NOISE[:3_000]), expected[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("convolutions", [HUBERT, DEEP, [(3, 7)]], ids=str)
def test_frames_of_windows_are_those_of_the_whole_where_no_frame_hears_all(tmp_path, convolutions):
    """Without attention, a recording in windows of a second gives the frames that it would give whole, seams included."""
    made = Graph()
    rows = made.add("Unsqueeze", "sound", made.constant(np.array([1], np.int64)))
    for number, (kernel, stride) in enumerate(convolutions):
        rows = made.convolve(rows, 1 if number == 0 else 4, 4, kernel, stride)
    made.add("Transpose", rows, perm=[0, 2, 1], name="rows")
    path = made.save(tmp_path / "model.onnx", [value("sound", "b", "n")], [value("rows", "b", "f", 4)])
    encoder = table(window_s=1.0).open(store(tmp_path))
    for n in (3 * RATE_HZ, 3 * RATE_HZ + 79, 3 * RATE_HZ + 500, 2 * RATE_HZ - 1):
        (expected,) = reference(path, None, sound=scaled(NOISE[:n])[None])
        frames = frames_of(encoder, NOISE[:n])
        assert frames.shape == expected.shape, n
        np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(
    convolutions=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 6)), min_size=1, max_size=4),
    n=st.integers(1, 4_000),
)
def test_the_count_of_any_stack_of_convolutions_is_measured(tmp_path_factory, convolutions, n):
    path = write_hubert(tmp_path_factory.mktemp("stack") / "model.onnx", convolutions=convolutions)
    frames = graph.measure(path, table(window_s=1.0)).frames
    rows = n
    for kernel, stride in convolutions:
        rows = max(0, (rows - kernel) // stride + 1)
    assert frames.inside(n) == rows
    assert frames.count(n) == max(1, rows)


@pytest.mark.parametrize(
    ("frames", "n", "expected"),
    [
        (Frames(320), 1, 1), (Frames(320), 320, 1), (Frames(320), 321, 2), (Frames(320, first=400), 399, 1),
        (Frames(320, first=400), 719, 1), (Frames(320, first=400), 720, 2), (Frames(160, first=0), 160, 2),
        (Frames(16_000, per=49), 16_000, 49), (Frames(16_000, per=49), 327, 2), (Frames(320), 0, 0),
    ],
    ids=str,
)  # fmt: skip
def test_frames_are_counted_as_the_formula_says(frames, n, expected):
    assert frames.count(n) == expected


def test_a_recording_shorter_than_the_first_frame_is_filled_up_with_silence(tmp_path):
    path = write_hubert(tmp_path / "model.onnx")
    short = NOISE[:150]
    (frames,) = frames_of(table().open(store(tmp_path)), short)
    padded = np.pad(scaled(short), (0, 250))[None]
    np.testing.assert_allclose(frames[None], reference(path, None, input_values=padded)[0], rtol=0, atol=TOLERANCE)


def test_what_was_measured_is_asked_once(tmp_path, monkeypatch):
    write_hubert(tmp_path / "model.onnx")
    models = store(tmp_path)
    first = table().forecast(models)
    monkeypatch.setattr("earmark.encoders.onnx._measure_apart", lambda *_: pytest.fail("asked again"))
    assert table().forecast(models) == first
    with pytest.raises(pytest.fail.Exception):
        table(outputs=["first"]).forecast(models)


def test_the_hash_holds_every_file_of_the_weights_and_nothing_beside_them(tmp_path):
    models, path = store(tmp_path), write_hubert(tmp_path / "model.onnx")
    inside = table().identity(models)
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    (tmp_path / "readme.md").write_text("x")
    outside = table().identity(models)
    assert inside != outside == table().identity(models)
    data = bytearray((tmp_path / "model.onnx_data").read_bytes())
    data[7] ^= 1
    (tmp_path / "model.onnx_data").write_bytes(data)
    assert table().identity(models)["model"] != outside["model"]
    (tmp_path / "model.onnx_data").unlink()
    with pytest.raises(ModelError, match=r"its weights are in model\.onnx_data, which is not there"):
        table().identity(models)


def test_identity_holds_all_that_changes_the_numbers(tmp_path):
    write_hubert(tmp_path / "model.onnx")
    models = store(tmp_path)
    changes = [{}, {"normalize": True}, {"window_s": 10.0}, {"outputs": ["first"]}, {"precision": "bfloat16"}]
    changes += [{"input_name": "input_values"}, {"input": "mel"}, {"input": "mel", "n_mels": 128}, {"codec": "float16"}]
    assert len({json.dumps(table(**keys).identity(models)) for keys in changes}) == len(changes)


def irregular(path):
    """Write a model whose frames are every third sample, but twice as many past the first thousand."""
    made = Graph()
    head = made.add("Slice", "sound", *(made.constant(np.array([one], np.int64)) for one in (0, 1_000, 1, 3)))
    tail = made.add("Slice", "sound", *(made.constant(np.array([one], np.int64)) for one in (1_000, 10**9, 1, 1)))
    rows = made.add("Concat", head, tail, axis=1)
    made.add("Unsqueeze", rows, made.constant(np.array([2], np.int64)), name="rows")
    return made.save(path, [value("sound", 1, "n")], [value("rows", 1, "f", 1)])


def one_frame(path):
    made = Graph()
    mean = made.add("ReduceMean", "sound", axes=[1], keepdims=1)
    made.add("Unsqueeze", mean, made.constant(np.array([2], np.int64)), name="rows")
    return made.save(path, [value("sound", 1, "n")], [value("rows", 1, 1, 1)])


def two_inputs(path):
    made = Graph()
    made.add("Unsqueeze", made.add("Add", "left", "right"), made.constant(np.array([2], np.int64)), name="rows")
    return made.save(path, [value("left", 1, "n"), value("right", 1, "n")], [value("rows", 1, "n", 1)])


def test_an_input_that_the_kept_tensors_do_not_hear_is_not_asked_for(tmp_path):
    made = Graph()
    made.add("Unsqueeze", "sound", made.constant(np.array([2], np.int64)), name="rows")
    made.add("Add", "rows", "text", name="logits")
    inputs = [value("text", 1, "n", 1), value("sound", 1, "n")]
    made.save(tmp_path / "model.onnx", inputs, [value("logits", 1, "n", 1), value("rows", 1, "n", 1)])
    with pytest.raises(ModelError, match="inputs: expected one, and attention_mask at the most, got text, sound"):
        table(input_name="sound").open(store(tmp_path))
    for keys in ({}, {"input_name": "sound"}):
        frames = frames_of(table(outputs=["rows"], window_s=0.1, **keys).open(store(tmp_path)), NOISE[:2_000])
        np.testing.assert_array_equal(frames[:, 0], scaled(NOISE[:2_000]))


@pytest.mark.parametrize(
    ("write", "keys", "message"),
    [
        (
            lambda path: path.write_bytes(b"junk" * 99),
            {},
            r"cannot be read: expected an ONNX model that OpenVINO reads",
        ),
        (lambda path: path.write_bytes(b""), {}, r"cannot be read: expected an ONNX model that OpenVINO reads"),
        (write_hubert, {"outputs": ["lst"]}, r'outputs: expected a tensor such as last_hidden_state, first, got "lst"'),
        (write_hubert, {"input_name": "x"}, r'input_name: expected input_values, got "x"\.'),
        (write_hubert, {"input": "mel"}, r"input: expected \(1, 80, frames\) or \(1, frames, 80\), got \[\?,\?\]"),
        (write_hubert, {"window_s": 0.03}, r"frames: expected at least 2 for 480 steps of the input, got 1\."),
        (write_mel_model, {"input": "mel", "n_mels": 128}, r"input: expected \(1, 128, frames\) .*, got \[\?,80,\?\]"),
        (irregular, {}, r"frames: expected one for each 1 steps, so \(frames, width\) = .*, got \("),
        (one_frame, {}, r"frames: expected at least 2 for 480,000 steps of the input, got 1\."),
        (two_inputs, {}, r"inputs: expected one, and attention_mask at the most, got left, right\."),
        (
            two_inputs,
            {"input_name": "left"},
            r"inputs: expected one, and attention_mask at the most, got left, right\.",
        ),
        (
            lambda path: write_hubert(path, length=16_000),
            {"window_s": 2.0},
            r"window_s: expected 1, its fixed length, got 2\.",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(tmp_path, write, keys, message):
    write(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=rf"model\.onnx: {message}") as caught:
        table(**keys).open(store(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [[], ["a.onnx", "b.onnx"]], ids=str)
def test_a_folder_without_one_model_is_refused_in_one_line(tmp_path, names):
    (tmp_path / "folder").mkdir()
    for name in names:
        write_hubert(tmp_path / "folder" / name)
    got = ", ".join(names) or "none"
    with pytest.raises(ModelError, match=rf"folder: not an ONNX model: expected an \.onnx file, .* got {got}\."):
        table(model="folder").identity(store(tmp_path))


def test_a_model_that_is_not_here_is_planned_as_hubert_and_says_so(tmp_path):
    forecast = table(model="none.onnx").forecast(store(tmp_path))
    assert (forecast.width, forecast.frames.per_s) == (768, 50)
    assert "assumed" in forecast.assumed
    with pytest.raises(ModelError, match=r"none\.onnx: not an ONNX model: .* got no such file"):
        table(model="none.onnx").identity(store(tmp_path))


@pytest.mark.slow
def test_shapes_that_depend_on_values_are_asked_by_running_the_model(tmp_path):
    """Frames are where a comb of the constant 1 is not 0: no shape can tell how many those are."""
    made = Graph()
    ones = made.add("Add", made.add("Mul", "sound", made.constant(np.float32(0))), made.constant(np.float32(1)))
    thinned = made.add("Slice", ones, *(made.constant(np.array([one], np.int64)) for one in (99, 10**9, 1, 200)))
    places = made.add("Transpose", made.add("NonZero", thinned), perm=[1, 0])
    rows = made.add("Cast", places, to=onnx.TensorProto.FLOAT)
    made.add("Unsqueeze", rows, made.constant(np.array([0], np.int64)), name="rows")
    path = made.save(tmp_path / "model.onnx", [value("sound", 1, "n")], [value("rows", 1, "f", 2)])
    measured = graph.measure(path, table(window_s=0.5))
    assert measured.frames == Frames(200, first=100)
    assert measured.width == 2


def test_a_mel_model_takes_either_layout(tmp_path):
    made = Graph()
    made.add("MatMul", "features", made.weight(80, 3), name="rows")
    path = made.save(tmp_path / "model.onnx", [value("features", 1, "m", 80)], [value("rows", 1, "m", 3)])
    frames = frames_of(table(input="mel").open(store(tmp_path)), NOISE[:5_000])
    (expected,) = reference(path, None, features=true_mel(NOISE[:5_000], 80)[None])
    np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-4)
