"""Every encoder kind keeps the same promises, and the folder of kinds is known to nobody else."""

import re

import pytest
from support.encoder_promises import EncoderPromises
from support.models import write_model
from support.onnx_models import HUBERT, write_hubert, write_mel_model

from earmark import encoders
from earmark.catalog.read import read_catalog
from earmark.errors import CatalogError, ModelError

WHISPER = {"kind": "whisper", "model": "model", "engine": "openvino", "window": "clip"}
MEL = {"rate_hz": 16000, "n_fft": 400, "hop": 160, "n_mels": 80, "scale": "slaney"}
WHISPER_IDENTITY = {
    "kind": "whisper",
    "weights": "aa266150690a72e7dcd63fa5265ec36a",
    "config": {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 16, "n_audio_head": 2, "n_audio_layer": 3},
    "mel": MEL,
    "window": "clip",
    "precision": "float32",
    "codec": "float16",
    "code": 1,
}
ONNX_IDENTITY = {
    "kind": "onnx",
    "model": ...,
    "input": "samples",
    "mel": None,
    "input_name": None,
    "outputs": [],
    "normalize": False,
    "window_s": 30.0,
    "precision": "float32",
    "codec": "float16",
    "code": 1,
}


class TestWhisper(EncoderPromises):
    keys = WHISPER
    identity = WHISPER_IDENTITY
    width, frames_per_s, engine = 16, 50, "openvino"
    wrong = (
        ({"model": None}, 'key "model" is missing'),
        ({"kind": "wisper"}, "kind: expected 'f0' or 'mel' or 'onnx' or 'whisper', got 'wisper'"),
        ({"floor_hz": 60.0}, 'floor_hz: an encoder of kind "whisper" has no such key.'),
        ({"windw": "clip"}, 'unknown key "windw" (did you mean "window"?).'),
        ({"layers": [1, 1]}, "layers: expected each once, got 1 twice"),
    )

    @staticmethod
    def write_model(home):
        write_model(home / "model", n_state=16, n_head=2, n_layer=3)


class TestWhisperLayers(TestWhisper):
    keys = WHISPER | {"layers": [1, "last", 2]}
    identity = WHISPER_IDENTITY | {"layers": [1, "last", 2]}
    width = 48
    wrong = (({"layers": 2}, "layers: expected a list, got 2"),)

    def test_a_layer_that_no_model_has_is_one_line(self, tmp_path, models):
        (tmp_path / "datasets.toml").write_text('[encoders.mine]\nmodel = "m"\nlayers = [0]\n', "utf-8")
        expected = "entry 1: expected greater than or equal to 1 or 'last', got 0 (int)."
        with pytest.raises(CatalogError, match=re.escape(f"[encoders.mine.layers]: {expected}")) as caught:
            read_catalog(tmp_path / "datasets.toml")
        assert "\n" not in str(caught.value)
        deeper = encoders.parse_table(WHISPER | {"layers": [4]})
        for ask in (deeper.identity, deeper.open):
            with pytest.raises(ModelError, match=r'layers: no such layer: expected 1 to 3 or "last", got 4\.'):
                ask(models)


class TestF0(EncoderPromises):
    keys = {"kind": "f0"}
    identity = {
        "kind": "f0",
        "method": "praat autocorrelation",
        "floor_hz": 60.0,
        "ceiling_hz": 1100.0,
        "codec": "float16",
        "code": 1,
    }
    width, frames_per_s, engine = 2, 50, "praat"
    wrong = (
        ({"floor_hz": 500.0, "ceiling_hz": 100.0}, "floor_hz, ceiling_hz: expected 20 <= floor_hz < ceiling_hz"),
        ({"model": "x"}, 'model: an encoder of kind "f0" has no such key.'),
    )

    def test_its_identity_holds_how_frames_are_stored_and_not_what_computes_them(self, table, models):
        assert table.model_copy(update={"codec": "float32"}).identity(models) != table.identity(models)


class TestMel(EncoderPromises):
    keys = {"kind": "mel"}
    identity = {"kind": "mel", "mel": MEL, "codec": "float16", "code": 1}
    width, frames_per_s, engine = 80, 100, "numpy"
    wrong = (
        ({"n_mels": 81}, "n_mels: expected 80 or 128, got 81"),
        ({"window": "clip"}, 'window: an encoder of kind "mel" has no such key.'),
    )


class TestHubert(EncoderPromises):
    keys = {"kind": "onnx", "model": "hubert.onnx", "normalize": True}
    identity = ONNX_IDENTITY | {"normalize": True}
    width, frames_per_s, engine = 8, 50, "openvino"
    wrong = (
        ({"model": None}, 'key "model" is missing'),
        ({"n_mels": 80}, 'n_mels: goes with input = "mel": expected none.'),
        ({"input": "text"}, "input: expected 'samples' or 'mel', got 'text'"),
        ({"engine": "mlx"}, 'engine: an encoder of kind "onnx" has no such key.'),
        ({"outputs": ["a", "a"]}, 'outputs: expected each once, got "a" twice'),
        ({"window_s": 0}, "window_s: expected greater than 0, got 0"),
    )

    @staticmethod
    def write_model(home):
        write_hubert(home / "hubert.onnx")


class TestOneNumberAFrame(TestHubert):
    """Another rate, another width, windows that are no 30 s, and kernels that step over samples."""

    keys = {"kind": "onnx", "model": "folder", "window_s": 7.3, "outputs": ["first"], "codec": "float32"}
    identity = ONNX_IDENTITY | {"window_s": 7.3, "outputs": ["first"], "codec": "float32"}
    width, frames_per_s = 1, 16_000 / 250
    wrong = ()

    @staticmethod
    def write_model(home):
        write_hubert(home / "folder" / "any name.onnx", convolutions=((25, 25), (7, 10)), width=1)

    def test_its_identity_holds_how_frames_are_stored_and_not_what_computes_them(self, table, models):
        assert table.model_copy(update={"codec": "float16"}).identity(models) != table.identity(models)


class TestOnnxOfLogMel(TestHubert):
    keys = {"kind": "onnx", "model": "model.onnx", "input": "mel", "n_mels": 80}
    identity = ONNX_IDENTITY | {"input": "mel", "mel": MEL}
    wrong = (
        ({"normalize": True}, 'normalize: goes with input = "samples": expected none.'),
        ({"window_s": 31.0}, 'window_s: expected at most 30 with input = "mel", got 31'),
    )

    @staticmethod
    def write_model(home):
        write_mel_model(home / "model.onnx")


class TestOnnxOfFixedLength(TestHubert):
    keys = {"kind": "onnx", "model": "model.onnx"}
    identity = ONNX_IDENTITY
    frames_per_s = 49 / 1.0  # of a second that the model was exported for
    wrong = ()

    @staticmethod
    def write_model(home):
        write_hubert(home / "model.onnx", convolutions=HUBERT, length=16_000)


def test_every_kind_has_its_promises_tested():
    tested = {cls.keys["kind"] for cls in EncoderPromises.__subclasses__()}
    assert tested == set(encoders.names())


def test_nothing_outside_of_a_kind_asks_which_kind_it_is():
    from support.collection import CHECKOUT

    outside = [*(CHECKOUT / "tasks").rglob("*.py"), *(CHECKOUT / "earmark").rglob("*.py")]
    asking = [
        path.name
        for path in outside
        if path.parent.name not in encoders.names() and path.stem not in encoders.names()
        for name in encoders.names()
        if f'kind == "{name}"' in path.read_text("utf-8")
    ]
    assert not asking


@pytest.mark.parametrize("raw", [{}, {"kind": "whisper"}], ids=str)
def test_a_table_without_a_kind_is_whispers(raw):
    assert type(encoders.parse_table(raw | {"model": "x"})) is encoders.kind("whisper")
