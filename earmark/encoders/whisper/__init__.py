"""Kind "whisper": the hidden states of Whisper's audio encoder, the same numbers from two engines, MLX and OpenVINO.

50 frames a second: ceil(n / 320) of n samples, in consecutive windows of 30 s, each encoded alone. `layers` chooses the
hidden states after some of the blocks; they are put side by side along the width of a frame rather than in arrays of
their own, so that packs, their index and what reads them need not know how many layers there are.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from earmark.disk.hashing import stat_key
from earmark.encoders import Encoder, EncoderForecast, EncoderTable, Frames, Identity, ModelStore
from earmark.encoders._engines import ENGINES, PRECISIONS, check_choice, choose_engine
from earmark.encoders._log_mel import HOP, log_mel_identity
from earmark.encoders.whisper import config, weights
from earmark.encoders.whisper.config import Layer, WhisperConfig
from earmark.errors import ModelAbsentError, ModelError

CODE_VERSION = 1  # raise it when our mel or encoder code changes the numbers: every feature is then computed anew
WINDOWS = ("padded", "clip")
FRAMES = Frames(2 * HOP)  # 320 samples between frames, after the convolution of stride 2
GENERATED = "earmark:demo"  # the model that earmark writes itself: Whisper-tiny's architecture, seeded weights
GENERATED_BYTES = 15_271_000  # of that model's files
SHAPES = {"tiny": (384, 4), "base": (512, 6), "small": (768, 12), "medium": (1024, 24), "large": (1280, 32)}
SHAPES |= {"turbo": (1280, 32)}  # width and blocks of Whisper's encoders, by a word in a model's name
TINY_WINDOWS_PER_S = 2.0  # 30 s windows a second through Whisper-tiny on two shared cores
TINY_COST = 4 * 384**2  # blocks times width squared of Whisper-tiny's encoder


class Whisper(EncoderTable):
    """An encoder of kind "whisper": which weights, computed how, which layers, stored how."""

    kind: Literal["whisper"] = "whisper"
    model: str = Field(min_length=1, description="hub id, or a folder with config.json and weights.safetensors")
    engine: Literal["auto", "mlx", "openvino"] = Field(default="auto", description="what computes: MLX, or OpenVINO")
    precision: Literal["float32", "float16", "bfloat16"] = Field(default="float32", description="what it computes in")
    window: Literal["padded", "clip"] = Field(
        default="padded", description="each window of 30 s filled up with silence, or of its true length"
    )
    layers: tuple[Annotated[int, Field(ge=1)] | Literal["last"], ...] = Field(
        default=(),
        strict=False,
        description='hidden states after so many blocks, "last" after the last layer norm; absent: the last alone',
    )

    def fault(self) -> str:
        """Return which layer is named twice."""
        twice = [layer for layer in self.layers if self.layers.count(layer) > 1]
        return f"layers: expected each once, got {twice[0]} twice" if twice else ""

    def prepare(self, models: ModelStore) -> None:
        """Fetch the model, or write the one that earmark makes. Raises ModelError."""
        choose_engine(self.engine)
        if self.model != GENERATED:
            weights.resolve(self.model, models.home)
            return
        from earmark.demo import corpus

        if not (_generated(models).is_dir() and corpus.is_as_written(_generated(models), models.memo)):
            corpus.write_model(_generated(models), models.scratch)

    def identity(self, models: ModelStore) -> Identity:
        """Return all that names the numbers. Raises ModelAbsentError, ModelError."""
        folder = self._folder(models)
        shape = config.read_config(folder)
        path = config.weights_file(folder)
        key = stat_key(path.stat())
        known = models.memo.get(path, key, "encoder-weights")
        if known is None:
            known = weights.weights_hash(folder)
            models.memo.put([(path, key, known)], "encoder-weights")
        make = partial(identity, known, shape, layers=self.layers)
        return make(window=self.window, precision=self.precision, codec=self.codec)

    def forecast(self, models: ModelStore) -> EncoderForecast:
        """Return width and cost, from the model or, while that is not here, from its name."""
        with contextlib.suppress(ModelError):
            shape = config.read_config(self._folder(models))
            return self._forecast(shape.n_audio_state, shape.n_audio_layer)
        if self.model == GENERATED:
            return self._forecast(*SHAPES["tiny"], model_bytes=GENERATED_BYTES)
        size = next((size for size in SHAPES if size in self.model.lower()), "large")
        assumed = f"the model is not here: assumed the shape of {size}; its download is not counted"
        return self._forecast(*SHAPES[size], assumed=assumed)

    def open(self, models: ModelStore) -> Encoder:
        """Return the encoder. Raises ModelError."""
        return open_encoder(self._folder(models), self.engine, self.precision, self.window, self.layers)

    def warning(self, models: ModelStore, place: str) -> str:
        """Return that the weights were never trained, where that is so."""
        if not config.read_json(self._folder(models)).get("untrained"):
            return ""
        return (
            "these weights are UNTRAINED (seeded, for trying earmark out). For real features set"
            ' model = "mlx-community/whisper-tiny-mlx", or a folder with config.json and weights.safetensors, in'
            f" {place}."
        )

    def _folder(self, models: ModelStore) -> Path:
        """Return the model's folder, without asking the network. Raises ModelAbsentError."""
        folder = weights.resolve_cached(self.model, models.home) if self.model != GENERATED else _generated(models)
        if folder is None or not folder.is_dir():
            raise ModelAbsentError(f"model {self.model} is not here yet")
        if self.model == GENERATED:
            from earmark.demo import corpus

            if not corpus.is_as_written(folder, models.memo):
                raise ModelAbsentError(f"model {self.model} was changed since it was written here")
        return folder

    def _forecast(self, width: int, n_layer: int, assumed: str = "", model_bytes: int = 0) -> EncoderForecast:
        speed = TINY_WINDOWS_PER_S * TINY_COST / (config.n_blocks(n_layer, self.layers) * width**2)
        return EncoderForecast(width * max(1, len(self.layers)), FRAMES, speed, assumed, model_bytes)


KIND = Whisper


def _generated(models: ModelStore) -> Path:
    return models.folder / "untrained-whisper-tiny"


def open_encoder(folder: Path, engine: str, precision: str, window: str, layers: tuple[Layer, ...] = ()) -> Encoder:
    """Return the encoder of a model folder, its weights loaded and its graph built.

    `engine`: `auto`, `mlx` or `openvino`. `precision`: what it computes in: `float32`, `float16` or `bfloat16`.
    `window`: `padded` (always 3,000 mel frames) or `clip` (any even number up to that). `layers`: as in the catalog.
    Raises ModelError for a folder, weights, name, layer or precision that cannot be used here.
    """
    chosen = choose_engine(engine)
    check_choice("precision", precision, PRECISIONS)
    check_choice("window", window, WINDOWS)
    model = weights.load(folder)
    config.check_layers(model.config, layers)
    if chosen == ENGINES[0]:
        from earmark.encoders.whisper import mlx_engine

        return mlx_engine.build(model, precision, window, layers)
    from earmark.encoders.whisper import openvino_engine

    return openvino_engine.build(model, precision, window, layers)


def identity(
    weights: str, config_: WhisperConfig, *, window: str, precision: str, codec: str, layers: tuple[Layer, ...] = ()
) -> Identity:
    """Return all that names the numbers in a feature pack; the engine is not in it, for engines agree.

    `weights` is the hash from `weights.weights_hash`, `config_` comes from `config.read_config`. `layers` is in it only
    where some are named, so that packs from before there was a choice stay what they are.
    Raises ModelError for an unknown window or precision, or a layer that the model does not have.
    """
    check_choice("precision", precision, PRECISIONS)
    check_choice("window", window, WINDOWS)
    config.check_layers(config_, layers)
    identity: Identity = {
        "kind": "whisper",
        "weights": weights,
        "config": asdict(config_),
        "mel": log_mel_identity(config_.n_mels),
        "window": window,
        "precision": precision,
        "codec": codec,
        "code": CODE_VERSION,
    }
    return identity | {"layers": list(layers)} if layers else identity
