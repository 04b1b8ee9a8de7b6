"""What the files of a model claim is held against their sizes, and a bad model stops what names it alone."""

import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collection import write_chapter
from support.encoder_promises import store
from support.models import write_model
from support.onnx_models import Graph, value

from earmark import encoders
from earmark.encoders import one_model
from earmark.encoders.whisper import weights
from earmark.encoders.whisper.config import read_config
from earmark.errors import ModelError

HUGE = 1 << 60


def npy(shape, data=bytes(64)):
    head = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def npz(path, **arrays):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in arrays.items():
            archive.writestr(f"encoder.{name}.npy", data)


def safetensors(path, header):
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(100_000))


def tensor(shape, first, last):
    return {"encoder.a": {"dtype": "F32", "shape": shape, "data_offsets": [first, last]}}


NOISE = np.random.default_rng(0).bytes(200_000)
WEIGHTS = {
    "npz of a huge shape": ("weights.npz", lambda path: npz(path, a=npy((HUGE,)), b=npy((50_000,), NOISE))),
    "npz of a terabyte": ("weights.npz", lambda path: npz(path, a=npy((1 << 38,)), b=npy((50_000,), NOISE))),
    "npz of a negative shape": ("weights.npz", lambda path: npz(path, a=npy((-1, 16)), b=npy((50_000,), NOISE))),
    "npz that inflates": ("weights.npz", lambda path: npz(path, a=npy((5_000_000,), bytes(20_000_000)))),
    "npz of objects": ("weights.npz", lambda path: npz(path, a=npy((8,)).replace(b"'<f4'", b"'|O' "))),
    "no zip": ("weights.npz", lambda path: path.write_bytes(NOISE)),
    "safetensors of a huge shape": ("weights.safetensors", lambda path: safetensors(path, tensor([HUGE], 0, HUGE * 4))),
    "safetensors beyond 64 bits": ("weights.safetensors", lambda path: safetensors(path, tensor([1 << 70], 0, 64))),
    "safetensors from before the file": ("weights.safetensors", lambda path: safetensors(path, tensor([4], -16, 0))),
    "safetensors in a circle": (
        "weights.safetensors",
        lambda path: safetensors(path, {f"encoder.{n}": tensor([20_000], 0, 80_000)["encoder.a"] for n in range(9)}),
    ),
    "safetensors nested deeply": ("weights.safetensors", lambda path: safetensors(path, b"[" * 50_000)),
    "safetensors of a huge header": ("weights.safetensors", lambda path: path.write_bytes(b"\xff" * 100_000)),
    "safetensors of lists": ("weights.safetensors", lambda path: safetensors(path, {"encoder.a": []})),
}
CONFIGS = {
    "layers without end": lambda config: json.dumps(config | {"n_audio_layer": 10**9}),
    "as wide as that": lambda config: json.dumps(config | {"n_audio_state": 10**9, "n_audio_head": 1}),
    "more layers than the file has": lambda config: json.dumps(config | {"n_audio_layer": 900}),
    "nested deeply": lambda config: "[" * 100_000,
    "nested deeply in a key": lambda config: json.dumps(config)[:-1] + f', "quantization": {"[" * 50_000}',
    "more digits than a number has": lambda config: json.dumps(config).replace("32", "9" * 5_000),
    "a megabyte of blanks": lambda config: json.dumps(config) + " " * (1 << 20),
    "null": lambda config: "null",
    "no text": lambda config: "\udcff",
}


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model", n_state=32, n_head=2, n_layer=1)


def refused(folder):
    with pytest.raises(ModelError) as caught:
        encoders.parse_table({"model": "model"}).identity(store(folder.parent))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800
    return str(caught.value)


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_claim_what_they_do_not_have_are_refused_in_one_line(folder, what):
    name, write = WEIGHTS[what]
    (folder / "weights.safetensors").unlink()
    write(folder / name)
    with pytest.raises(ModelError, match=r"damaged weights|dtype that cannot be used"):
        weights.weights_hash(folder)
    refused(folder)


@pytest.mark.parametrize("what", CONFIGS)
def test_a_config_that_claims_what_no_model_has_is_refused_in_one_line(folder, what):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_bytes(CONFIGS[what](config).encode("utf-8", "surrogateescape"))
    assert "config.json" in refused(folder)
    with pytest.raises(ModelError):
        read_config(folder)


@settings(deadline=None, max_examples=60)
@given(
    container=st.sampled_from(["npz", "safetensors"]),
    flips=st.lists(st.tuples(st.integers(0, 1_500), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_no_damaged_head_of_weights_raises_anything_else(tmp_path_factory, container, flips):
    folder = tmp_path_factory.getbasetemp() / f"flipped-{container}"
    write_model(folder, n_state=8, n_head=2, n_layer=1, container=container)
    path = folder / f"weights.{container}"
    data = bytearray(path.read_bytes())
    for at, byte in flips:
        data[at] = byte
    path.write_bytes(data)
    try:
        weights.weights_hash(folder)
    except ModelError as error:
        assert "\n" not in str(error)


def test_a_model_that_the_system_does_not_give_is_not_called_damaged(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "memmap", denied)
    assert "cannot be read: Permission denied" in refused(folder)


@pytest.mark.parametrize(
    ("samples", "width", "message"),
    [(HUGE, 8, "input: expected at most 600 s"), ("n", 1 << 50, "width: expected at most")],
)
def test_an_onnx_model_of_a_size_that_nothing_holds_is_refused(tmp_path, samples, width, message):
    made = Graph()
    rows = made.add("Reshape", "input_values", made.constant(np.array([1, -1, 1])))
    made.add("Expand", rows, made.constant(np.array([1, 1, width])), name="out")
    made.save(tmp_path / "model.onnx", [value("input_values", 1, samples)], [value("out", 1, None, None)])
    with pytest.raises(ModelError, match=message):
        encoders.parse_table({"kind": "onnx", "model": "model.onnx"}).forecast(store(tmp_path))


def test_whatever_a_model_leads_to_is_one_line_that_names_its_encoder():
    with (
        pytest.raises(ModelError, match=r"encoder small: its model cannot be used: .* RecursionError: too deep"),
        one_model("small"),
    ):
        raise RecursionError("too deep")


def test_a_bad_model_leaves_every_other_dataset_in_the_plan(collection):
    for name, encoder in [("books", []), ("more", ["bad"])]:
        write_chapter(collection.add_dataset(name, encoders=encoder), "1-10", {0: 0}, seconds=0.3)
    (collection.home / "bad.onnx").write_bytes(b"no model")
    catalog = collection.home / "datasets.toml"
    catalog.write_text(catalog.read_text("utf-8") + '\n[encoders.bad]\nkind = "onnx"\nmodel = "bad.onnx"\n', "utf-8")
    shown = collection.doit("plan").stdout
    assert "manifest:books" in shown
    assert "manifest:more" in shown
    assert "E  features:more" in shown
