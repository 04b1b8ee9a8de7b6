"""Kind "onnx": an audio encoder as an ONNX file that takes 16 kHz samples or Whisper's log-mel, run by OpenVINO.

HuBERT, wav2vec2, WavLM, MMS and their like. Nothing is assumed of the frame rate: the model itself is asked how many
frames some lengths give (see `measure`). A recording longer than a window is cut into windows that overlap by as much
as a frame hears beyond its step, so that frames stay evenly spaced over the seams, and a recording has as many as the
model would give it whole. Where several tensors are named, a frame is their values in a row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from earmark.disk.hashing import digest
from earmark.encoders import Encoder, EncoderForecast, EncoderTable, Frames, Identity, ModelStore
from earmark.encoders._log_mel import WINDOW_S, log_mel_identity
from earmark.encoders.onnx import files
from earmark.encoders.onnx.measured import MOST_WINDOW_S, Measured
from earmark.errors import ModelError, WorkerError
from earmark.workers.apart import call_apart

CODE_VERSION = 1  # raise it when our code changes the numbers
ABSENT = EncoderForecast(768, Frames(320, first=400), 0.2, "the model is not here: assumed the shape of HuBERT base")
TINY_BYTES = 33_000_000  # of Whisper-tiny's encoder in float32, which takes half a second a window on two shared cores
TINY_WINDOWS_PER_S = 2.0
MOST_WINDOWS_PER_S = 20.0  # that decoding and writing keep up with


class Onnx(EncoderTable):
    """An encoder of kind "onnx": which file, what it is given, which of its tensors are kept."""

    kind: Literal["onnx"] = "onnx"
    model: str = Field(min_length=1, description="an .onnx file, or a folder with one")
    input: Literal["samples", "mel"] = Field(default="samples", description="what the model takes")
    n_mels: Literal[80, 128] = Field(default=80, description='mel bands, where input = "mel"')
    input_name: str | None = Field(default=None, min_length=1, description="of the model's input; absent: its only one")
    outputs: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="tensors that are kept, joined along the width: any of the graph; absent: the first output",
    )
    normalize: bool = Field(
        default=False, description="scale the samples of each window to mean 0 and variance 1, as wav2vec2 wants"
    )
    window_s: float = Field(default=30.0, gt=0, le=MOST_WINDOW_S, description="seconds of a recording encoded at once")
    precision: Literal["float32", "float16", "bfloat16"] = Field(default="float32", description="what it computes in")

    def fault(self) -> str:
        """Return which key does not go with the model's input, or which output is named twice."""
        if self.input == "samples" and "n_mels" in self.model_fields_set:
            return 'n_mels: goes with input = "mel": expected none'
        if self.input == "mel" and self.normalize:
            return 'normalize: goes with input = "samples": expected none'
        if self.input == "mel" and self.window_s > WINDOW_S:
            return f'window_s: expected at most {WINDOW_S} with input = "mel", got {self.window_s:g}'
        twice = [name for name in self.outputs if self.outputs.count(name) > 1]
        return f'outputs: expected each once, got "{twice[0]}" twice' if twice else ""

    def identity(self, models: ModelStore) -> Identity:
        """Return all that names the numbers; OpenVINO's version is recorded, not keyed. Raises ModelError."""
        return {
            "kind": "onnx",
            "model": files.model_hash(self._file(models), models.memo),
            "input": self.input,
            "mel": log_mel_identity(self.n_mels) if self.input == "mel" else None,
            "input_name": self.input_name,
            "outputs": list(self.outputs),
            "normalize": self.normalize,
            "window_s": self.window_s,
            "precision": self.precision,
            "codec": self.codec,
            "code": CODE_VERSION,
        }

    def forecast(self, models: ModelStore) -> EncoderForecast:
        """Return width and frame rate as measured; the cost is guessed from the size of the file. Raises ModelError."""
        if not (models.home / Path(self.model).expanduser()).exists():
            return ABSENT
        path = self._file(models)
        measured = self._measured(path, models)
        speed = TINY_WINDOWS_PER_S * TINY_BYTES / files.model_bytes(path, models.memo)
        return EncoderForecast(measured.width, measured.frames, min(speed, MOST_WINDOWS_PER_S))

    def open(self, models: ModelStore) -> Encoder:
        """Return the encoder. Raises ModelError."""
        from earmark.encoders.onnx import encoder

        path = self._file(models)
        return encoder.build(path, self, self._measured(path, models))

    def _file(self, models: ModelStore) -> Path:
        return files.model_file(models.home / Path(self.model).expanduser())

    def _measured(self, path: Path, models: ModelStore) -> Measured:
        """Return how the model turns samples into frames; measured once for a file and what is kept of it."""
        asked = [self.input, self.n_mels, self.input_name, self.outputs, self.window_s]
        asked.append("window_s" in self.model_fields_set)

        what = f"onnx-frames-{digest('onnx', [CODE_VERSION, asked])[:8]}"
        return Measured.from_json(files.remembered(path, models.memo, what, lambda: _measure_apart(path, self)))


KIND = Onnx


def _measure_apart(path: Path, table: Onnx) -> str:
    """Measure a model in a process beside this one: a damaged one may crash OpenVINO. Raises ModelError."""
    try:
        return call_apart(_measure, (path, table), str(path))
    except WorkerError as error:
        if not error.crashed:
            raise
        raise ModelError(
            f"{path}: expected an ONNX model, got one that crashes OpenVINO ({error.crashed}). Export it again."
        ) from error


def _measure(asked: tuple[Path, Onnx]) -> str:
    from earmark.encoders.onnx import graph

    path, table = asked
    return graph.measure(path, table).to_json()
