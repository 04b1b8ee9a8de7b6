"""Encoders: what makes frames of a recording. One kind a module or package of this folder, and nothing else knows it.

A kind exports `KIND`, its table in the catalog: a subclass of EncoderTable that owns the keys, the identity, the model,
the front end, the frame rate and the cost. The folder's listing is the registry, so adding a kind adds one file. Names
that start with `_` are shared code. Nothing heavy is imported here or when a kind is imported: doit asks for names and
identities at its start-up.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeAlias

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from earmark.disk.faults import require_content
from earmark.errors import EarmarkError, ModelError, near
from earmark.rates import RATE_HZ
from earmark.rows import JSON
from earmark.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.disk.files import Scratch
    from earmark.disk.hashing import HashMemo

DEFAULT_KIND = "whisper"  # of a table without the key `kind`
WHOLE_LINE = "whole_line"  # pydantic's type of an error whose message needs no "expected ..., got ..." around it

Identity: TypeAlias = "dict[str, JSON]"  # all that names an encoder's numbers: equal identities, equal packs
Window: TypeAlias = "tuple[NDArray[np.float32], int]"  # an encoder's input of one window, frames that are kept of it


@dataclass(frozen=True)
class Frames:
    """How many frames n samples give: floor((per * n - first) / step) + 1, and one at least for any sound at all.

    Whisper's ceil(n / 320) is Frames(320). A stack of convolutions without padding, floor((n - 400) / 320) + 1, is
    Frames(320, first=400). A model of fixed length, W samples to F frames, is Frames(W, per=F): ceil(n * F / W).
    """

    step: int  # samples from frame to frame, times `per`
    first: int = 1  # samples of the shortest sound that has a frame, times `per`; 0 and less where padding adds some
    per: int = 1  # so that a rate need not be a whole number of samples a frame

    @property
    def per_s(self) -> float:
        """Frames a second."""
        return RATE_HZ * self.per / self.step

    def count(self, n_samples: int) -> int:
        """Return the frames of a recording; one that is too short for any is padded with silence until it has one."""
        return max(1, self.inside(n_samples)) if n_samples > 0 else 0

    def inside(self, n_samples: int) -> int:
        """Return the frames that fit in a window of n samples, without padding."""
        return max(0, (self.per * n_samples - self.first) // self.step + 1)

    def mean(self, seconds: float, recordings: float) -> float:
        """Return about how many frames some recordings have, of which the last is begun, half of it on the average."""
        return seconds * self.per_s + recordings * (0.5 - (self.first - 1) / self.step)


@dataclass(frozen=True)
class EncoderForecast:
    """What an encoder will give, known before it is opened: for plans."""

    width: int  # values in a frame
    frames: Frames
    windows_per_s: float  # 30 s windows encoded a second on two shared cores, before any measurement
    assumed: str = ""  # what of this is assumed, in words
    model_bytes: int = 0  # bytes of a model that prepare() would write below the cache


@dataclass(frozen=True, eq=False)
class ModelStore:
    """Where models are: names resolve against `home`, the catalog's folder; what is generated goes below `folder`."""

    home: Path
    folder: Path
    scratch: Scratch
    memo: HashMemo


class FrontEnd(Protocol):
    """What makes an encoder's input of samples."""

    @property
    def frames(self) -> Frames:
        """How many frames a recording gives."""

    @property
    def window_samples(self) -> int:
        """Samples from the start of one window to the start of the next."""

    @property
    def context(self) -> int:
        """Samples wanted on both sides of a window, where the recording has them."""

    def windows(self, samples: NDArray[np.int16], start: int, stop: int) -> list[Window]:
        """Return the input of each window of samples[start:stop], and how many of its frames are kept.

        `samples`: (n,) int16, with the context around [start, stop). A recording's windows give `frames.count(n)`
        frames between them.
        """


class Encoder(Protocol):
    """An encoder, ready to run, and the front end that belongs to it."""

    @property
    def front_end(self) -> FrontEnd:
        """What makes its input."""

    @property
    def n_state(self) -> int:
        """Width of a frame."""

    @property
    def batch(self) -> int:
        """How many windows of equal length this engine likes at once."""

    @property
    def engine(self) -> str:
        """`mlx`, `openvino`, `praat` or `numpy`."""

    @property
    def version(self) -> str:
        """Library version and device, for the record."""

    @property
    def about(self) -> Mapping[str, JSON]:
        """More about it for a pack's attributes, which have its identity, engine and version already."""

    def encode(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of a batch of windows of equal shape, (batch, frames, n_state) float32."""


class EncoderTable(Table):
    """One encoder of the catalog: its keys, and what its kind does with them."""

    kind: str = Field(description="what computes the frames; see docs/encoders.md")
    codec: Literal["float16", "float32"] = Field(default="float16", description="what frames are stored as")

    def fault(self) -> str:
        """Return what two keys contradict each other in, or an empty string."""
        return ""

    def prepare(self, models: ModelStore) -> None:
        """Fetch or generate what `identity` must read. Raises ModelError."""
        _ = models  # most kinds need nothing

    @abstractmethod
    def identity(self, models: ModelStore) -> Identity:
        """Return all that names the numbers, a JSON object; the engine is not in it, for engines agree.

        Raises ModelAbsentError while the model is not here, ModelError when it cannot be used.
        """

    @abstractmethod
    def forecast(self, models: ModelStore) -> EncoderForecast:
        """Return width, frame rate and cost, from the model or, while that is not here, assumed. Raises ModelError."""

    @abstractmethod
    def open(self, models: ModelStore) -> Encoder:
        """Return the encoder, its weights loaded. Raises ModelError."""

    def warning(self, models: ModelStore, place: str) -> str:
        """Return what its user should know before the frames are used, or an empty string.

        `place` is the table's in the catalog, in words.
        """
        _ = models, place
        return ""


@contextlib.contextmanager
def one_model(name: str) -> Iterator[None]:
    """Turn whatever a damaged model raises while it is read into ModelError: it stops what names this encoder alone.

    A fault of the machine becomes MachineError.
    """
    try:
        yield
    except EarmarkError:
        raise
    except Exception as error:
        require_content(Path(f"encoder {name}"), error)
        words = " ".join(str(error).split())[:200]
        raise ModelError(
            f"encoder {name}: its model cannot be used: expected a whole one, got {type(error).__name__}"
            f"{f': {words}' if words else ''}. Download or export it again."
        ) from error


def names() -> list[str]:
    """Return the names of all kinds, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def kind(name: str) -> type[EncoderTable]:
    """Return the table of a kind that `names` lists."""
    table: type[EncoderTable] = importlib.import_module(f"{__name__}.{name}").KIND
    return table


def parse_table(raw: object) -> EncoderTable:
    """Return an encoder's table as the class of its kind.

    Raises ValidationError, which pydantic takes over with its place. A key that the kind does not have is a WHOLE_LINE.
    """
    if isinstance(raw, EncoderTable):
        return raw
    name = raw.get("kind", DEFAULT_KIND) if isinstance(raw, dict) else DEFAULT_KIND
    if name not in names():
        raise _unknown_kind(name)
    table = kind(name)
    try:
        return table.model_validate(raw)
    except ValidationError as error:
        raise _with_hints(table, name, error) from None


# Pydantic's own discriminated union would import every kind, and put the kind's name in the place of each error.
AnyEncoderTable: TypeAlias = Annotated[EncoderTable, BeforeValidator(parse_table)]


def _unknown_kind(name: object) -> ValidationError:
    expected = " or ".join(f"'{one}'" for one in names())
    known = {"type": "literal_error", "loc": ("kind",), "input": name, "ctx": {"expected": expected}}
    return ValidationError.from_exception_data("encoder", [InitErrorDetails(**known)])  # type: ignore[typeddict-item]


def _with_hints(table: type[EncoderTable], name: str, error: ValidationError) -> ValidationError:
    """Return the same errors, those of unknown keys in words that name the kind."""
    lines = []
    for detail in error.errors():
        line = InitErrorDetails(
            type=detail["type"], loc=detail["loc"], input=detail["input"], ctx=detail.get("ctx", {})
        )
        if detail["type"] == "extra_forbidden":
            line["type"] = PydanticCustomError(WHOLE_LINE, "{line}", {"line": _no_such_key(table, name, detail["loc"])})
        lines.append(line)
    return ValidationError.from_exception_data(error.title, lines)


def _no_such_key(table: type[EncoderTable], name: str, loc: tuple[int | str, ...]) -> str:
    key = str(loc[-1])
    if any(key in kind(other).model_fields for other in names()):
        return f'{key}: an encoder of kind "{name}" has no such key'
    return f'unknown key "{key}"{near(key, table.model_fields)}'
