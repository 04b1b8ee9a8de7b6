"""A Whisper model's folder as MLX keeps it: `config.json` and `weights.safetensors` or `weights.npz`.

Source: `ModelDimensions` and the converter of mlx-examples `whisper/`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from earmark.disk.plainly import cannot_read
from earmark.encoders._log_mel import N_MELS
from earmark.errors import ModelError, near
from earmark.rows import JSON

WEIGHTS_NAMES = ("weights.safetensors", "weights.npz", "model.safetensors")  # in the order in which they are looked for
N_AUDIO_CTX = 1_500  # rows of a 30 s window
ENCODER_KEYS = ("n_mels", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer")
TEXT_KEYS = ("n_vocab", "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer")
LAST: Literal["last"] = "last"  # the layer after the last layer norm, which is all that Whisper's decoder sees
OTHER_KEYS = ("model_type", "quantization", "untrained")

Layer: TypeAlias = "int | Literal['last']"  # after how many blocks, or after the last layer norm


@dataclass(frozen=True)
class WhisperConfig:
    """The shape of a Whisper encoder; names as in `config.json`."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int


@dataclass(frozen=True)
class Quantisation:
    """How MLX packed the linear layers: `bits` a value, one scale and bias for each `group_size` values of a row."""

    group_size: int
    bits: int


def weights_file(folder: Path) -> Path:
    """Return the file of a model's weights; raises ModelError when folder, config or weights are missing."""
    if not (folder / "config.json").is_file():
        got = "no such file" if folder.is_dir() else "no such folder"
        raise ModelError(
            f"{folder}: not a model folder: expected config.json and {WEIGHTS_NAMES[0]} in it, got {got}."
            " Put a Whisper model in MLX format there, or name a hub id such as mlx-community/whisper-tiny-mlx."
        )
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{folder}: no weights: expected one of {', '.join(WEIGHTS_NAMES)} next to config.json, got none."
        " Put the weights of the same model there."
    )


def read_config(folder: Path) -> WhisperConfig:
    """Return the encoder's shape from `config.json`; raises ModelError in one line when it is not one of Whisper."""
    return parse_shape(folder / "config.json", read_json(folder))


def read_json(folder: Path) -> dict[str, JSON]:
    """Return `config.json` as it is; raises ModelError when it cannot be read."""
    weights_file(folder)
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{cannot_read(error, path)}. See whether it may be read, and run again.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON of a model: {error}. Download it again.") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: not a model configuration: expected a JSON object, got {type(raw).__name__}.")
    return raw


def parse_shape(path: Path, raw: dict[str, JSON]) -> WhisperConfig:
    """Return the encoder's shape from a configuration read at `path`; raises ModelError."""
    if missing := [key for key in ENCODER_KEYS if key not in raw]:
        hint = "It is a transformers model; take its MLX conversion" if "d_model" in raw else "Take one"
        raise ModelError(
            f"{path}: missing {', '.join(missing)}: expected the configuration of a Whisper model in MLX format."
            f" {hint}, such as mlx-community/whisper-tiny-mlx."
        )
    known = (*ENCODER_KEYS, *TEXT_KEYS, *OTHER_KEYS)
    if unknown := sorted(raw.keys() - set(known)):
        raise ModelError(f'{path}: unknown key "{unknown[0]}"{near(unknown[0], known)}. Correct or remove it.')
    numbers: dict[str, int] = {}
    for key in ENCODER_KEYS:
        value = raw[key]
        if type(value) is not int or value < 1:  # not isinstance: true would be one, too
            raise ModelError(f"{path}: {key}: wrong value: expected a whole number from 1, got {value!r}. Correct it.")
        numbers[key] = value
    config = WhisperConfig(**numbers)
    n_state, n_head = config.n_audio_state, config.n_audio_head
    rules = {
        "n_mels": (config.n_mels in N_MELS, "80 or 128"),
        "n_audio_ctx": (config.n_audio_ctx == N_AUDIO_CTX, f"{N_AUDIO_CTX:,} (30 s)"),
        "n_audio_state": (n_state % 2 == 0 and n_state > 2, "an even number from 4"),
        "n_audio_head": (n_state % n_head == 0, f"a divisor of n_audio_state {n_state}"),
    }
    for key, (is_right, expected) in rules.items():
        if not is_right:
            raise ModelError(f"{path}: {key}: wrong value: expected {expected}, got {raw[key]}. Use a Whisper model.")
    return config


def check_layers(config: WhisperConfig, layers: tuple[Layer, ...]) -> None:
    """Check that a model has some layers. Raises ModelError."""
    for layer in layers:
        if layer != LAST and not 1 <= layer <= config.n_audio_layer:
            raise ModelError(
                f'layers: no such layer: expected 1 to {config.n_audio_layer} or "{LAST}", got {layer}.'
                " Correct it in the catalog."
            )


def n_blocks(n_layer: int, layers: tuple[Layer, ...]) -> int:
    """Return how many of an encoder's blocks must be computed for some layers; where none is named, all."""
    return n_layer if not layers or LAST in layers else max(layer for layer in layers if layer != LAST)


def parse_quantisation(path: Path, raw: JSON) -> Quantisation | None:
    """Return how the weights are packed, from the key `quantization`; raises ModelError for what cannot be read."""
    if raw is None:
        return None
    keys = raw if isinstance(raw, dict) else {}
    bits, group_size = keys.get("bits"), keys.get("group_size")
    is_known = keys.keys() <= {"group_size", "bits", "mode"} and keys.get("mode", "affine") == "affine"
    if not (isinstance(bits, int) and isinstance(group_size, int) and is_known) or (
        bits not in (2, 4, 8) or group_size not in (32, 64, 128)
    ):
        raise ModelError(
            f"{path}: quantization that cannot be read: expected group_size 32, 64 or 128 and bits 2, 4 or 8,"
            f" got {json.dumps(raw)}. Take the model in float16, or in 4 or 8 bits."
        )
    return Quantisation(group_size, bits)
