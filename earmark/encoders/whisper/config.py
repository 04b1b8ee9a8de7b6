"""A Whisper model's folder as MLX keeps it: `config.json` and `weights.safetensors` or `weights.npz`.

Source: `ModelDimensions` and the converter of mlx-examples `whisper/`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from earmark.encoders._log_mel import N_MELS
from earmark.errors import ModelError, near
from earmark.rows import JSON

WEIGHTS_NAMES = ("weights.safetensors", "weights.npz", "model.safetensors")  # in the order in which they are looked for
CONFIG_BYTES = 1 << 20  # of config.json; Whisper's has less than one kilobyte
MOST_LAYERS, MOST_STATE = 1_000, 65_536  # far beyond any encoder, and near enough to be counted through
LEAST_BITS = 2  # a weight has, in the tightest quantisation
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
    config = parse_shape(folder / "config.json", read_json(folder))
    _require_room(config, weights_file(folder))
    return config


def _require_room(config: WhisperConfig, weights: Path) -> None:
    """Refuse a shape whose weights cannot be in the file beside it, before anything is made of it. Raises ModelError.

    Every block has 12 * n_state ** 2 weights, and quantised ones have 2 bits at the least.
    """
    least = config.n_audio_layer * 12 * config.n_audio_state**2 * LEAST_BITS // 8
    size = weights.stat().st_size
    if least > size:
        raise ModelError(
            f"{weights}: wrong weights: config.json states {config.n_audio_layer:,} layers of width"
            f" {config.n_audio_state:,}: expected {least:,} bytes or more, got {size:,}. Check that the two belong"
            " together, or download them again."
        )


def read_json(folder: Path) -> dict[str, JSON]:
    """Return `config.json` as it is; raises ModelError when it cannot be read."""
    weights_file(folder)
    path = folder / "config.json"
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
        raw = json.loads(data) if len(data) <= CONFIG_BYTES else None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON: {error}. Download it again.") from error
    if raw is None:
        got = f"more than {CONFIG_BYTES:,} bytes, or null"
        raise ModelError(f"{path}: not a model configuration: expected a JSON object, got {got}. Download it again.")
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: not a model configuration: expected a JSON object, got {type(raw).__name__}.")
    return raw


def unreadable(path: Path, error: OSError) -> ModelError:
    """Return the error for a file of a model that the system does not give: nothing is known of its content."""
    return ModelError(f"{path}: cannot be read: {error.strerror}. See that disk and permissions are well; run again.")


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
            raise ModelError(
                f"{path}: {key}: wrong value: expected a whole number from 1, got {repr(value)[:80]}. Correct it."
            )
        numbers[key] = value
    config = WhisperConfig(**numbers)
    n_state, n_head = config.n_audio_state, config.n_audio_head
    rules = {
        "n_mels": (config.n_mels in N_MELS, "80 or 128"),
        "n_audio_ctx": (config.n_audio_ctx == N_AUDIO_CTX, f"{N_AUDIO_CTX:,} (30 s)"),
        "n_audio_state": (n_state % 2 == 0 and 2 < n_state <= MOST_STATE, f"an even number from 4 to {MOST_STATE:,}"),
        "n_audio_layer": (config.n_audio_layer <= MOST_LAYERS, f"at most {MOST_LAYERS:,}"),
        "n_audio_head": (n_state % n_head == 0, f"a divisor of n_audio_state {n_state}"),
    }
    for key, (is_right, expected) in rules.items():
        if not is_right:
            raise ModelError(
                f"{path}: {key}: wrong value: expected {expected}, got {repr(raw[key])[:80]}. Use a Whisper model."
            )
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
            f" got {json.dumps(raw)[:200]}. Take the model in float16, or in 4 or 8 bits."
        )
    return Quantisation(group_size, bits)
