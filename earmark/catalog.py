"""The catalog: `datasets.toml`, facts about corpora, encoders, jobs and disk, read strictly.

`EARMARK_CATALOG` names another file; every relative path in a catalog resolves against that file's own folder.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from earmark import corpora
from earmark.errors import CatalogError, near

VARIABLE = "EARMARK_CATALOG"
SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}  # bytes, SI
FORMS = {"literal['mean']", "constrained-int"}  # pydantic's names for the forms that `channel` may take
MD5, SHA256, XXH3 = r"^[0-9a-f]{32}$", r"^[0-9a-f]{64}$", r"^[0-9a-f]{32}$"
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
PATTERNS = {MD5: "32 lower-case hex digits", SHA256: "64 lower-case hex digits", LANGUAGE: 'a BCP 47 tag such as "en"'}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what a task, a folder and a file may all be called


def parse_size(text: str) -> str:
    """Check a size such as "3.0 TB" and return it."""
    number, _, unit = text.strip().partition(" ")
    if unit.upper() not in SIZE_UNITS or not re.fullmatch(r"\d+(\.\d+)?", number):
        raise ValueError('expected a number, a space and a unit of B, KB, MB, GB, TB, PB, as in "3.0 TB"')
    return text


class Table(BaseModel):
    """A table of the catalog: no unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Paths(Table):
    """Where things lie; relative to the catalog's folder."""

    data: str = "data"
    standard: str = "data/standard"
    manifests: str = "manifests"
    cache: str = "cache"


class Disk(Table):
    """How much disk the whole collection may take."""

    budget: Annotated[str, AfterValidator(parse_size)] | None = None

    @property
    def budget_bytes(self) -> int | None:
        """The budget in bytes, or None where none is set."""
        if self.budget is None:
            return None
        number, _, unit = self.budget.strip().partition(" ")
        return int(float(number) * SIZE_UNITS[unit.upper()])


class Standard(Table):
    """What canonical audio is stored as."""

    format: Literal["flac", "wav", "none"] = "flac"
    resampler: Literal["QQ", "LQ", "MQ", "HQ", "VHQ"] = "HQ"


class EncoderTable(Table):
    """One encoder: which weights, computed how, stored how."""

    kind: Literal["whisper"] = "whisper"
    model: str = Field(min_length=1)
    engine: Literal["auto", "mlx", "openvino"] = "auto"
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    window: Literal["padded", "clip"] = "padded"
    codec: Literal["float16", "float32"] = "float16"


class ArchiveTable(Table):
    """One archive of a dataset, with what its publisher says of it."""

    file: str
    size: int | None = Field(default=None, ge=1)
    md5: str | None = Field(default=None, pattern=MD5)
    sha256: str | None = Field(default=None, pattern=SHA256)
    xxh3: str | None = Field(default=None, pattern=XXH3)
    nested: tuple[str, ...] = Field(default=(), strict=False)
    skip: tuple[str, ...] = Field(default=(), strict=False)
    generator: Literal["demo"] | None = None

    @property
    def sums(self) -> dict[str, str]:
        """Published sums by algorithm."""
        named = {"md5": self.md5, "sha256": self.sha256, "xxh3": self.xxh3}
        return {algorithm: value for algorithm, value in named.items() if value}


class Expect(Table):
    """What must be below the root once everything is extracted."""

    folders: tuple[str, ...] = Field(default=(), strict=False)
    files: dict[str, Annotated[int, Field(ge=0)]] = {}


class DatasetTable(Table):
    """One dataset: where it lies, how it is read, what is made of it."""

    corpus: str
    folder: str | None = None
    root: str = "."
    archives: tuple[ArchiveTable, ...] = Field(default=(), strict=False)
    expect: Expect = Expect()
    language: str | None = Field(default=None, pattern=LANGUAGE)
    licence: str | None = None
    home: str | None = None
    encoders: tuple[str, ...] | None = Field(default=None, strict=False)
    manifest: str | None = None
    priority: int = 100
    max_bad: float = Field(default=0.001, ge=0, le=1)
    max_missing: float = Field(default=0.01, ge=0, le=1)
    channel: Literal["mean"] | Annotated[int, Field(ge=0)] = "mean"
    disjoint: tuple[str, ...] = Field(default=(), strict=False)  # labels whose values no two splits may share
    speakers: str | None = None  # whose numbers the speaker ids are; the dataset's own where none is named
    per_split: bool = True  # one manifest file a split, or all rows in one
    watch: Literal["files", "folders", "auto"] = "auto"
    shard_files: int = Field(default=4096, ge=1)
    shard_hours: float = Field(default=10.0, gt=0)
    options: dict[str, Any] = {}


class JobTable(Table):
    """One training job: whose rows, carrying which labels."""

    datasets: tuple[str, ...] = Field(strict=False)
    labels: tuple[str, ...] = Field(default=(), strict=False)
    unit: Literal["recording", "segment"] = "recording"


class RunTable(Table):
    """Where heavy work runs."""

    engine: Literal["local"] = "local"
    workers: int = Field(default=0, ge=0)


class Catalog(Table):
    """A whole catalog, checked against itself."""

    paths: Paths = Paths()
    disk: Disk = Disk()
    standard: Standard = Standard()
    encoders: dict[str, EncoderTable] = {}
    datasets: dict[str, DatasetTable] = {}
    jobs: dict[str, JobTable] = {}
    run: RunTable = RunTable()

    def encoders_of(self, dataset: str) -> tuple[str, ...]:
        """Return the names of a dataset's encoders: its own list, or the catalog's first encoder."""
        named = self.datasets[dataset].encoders
        return tuple(self.encoders)[:1] if named is None else named

    def by_priority(self) -> list[str]:
        """Return the datasets' names in the order of work."""
        return sorted(self.datasets, key=lambda name: (self.datasets[name].priority, name))


def catalog_path(folder: Path) -> Path:
    """Return the catalog that `EARMARK_CATALOG` names, or `datasets.toml` in `folder`."""
    return Path(os.environ.get(VARIABLE) or folder / "datasets.toml").absolute()


def read_catalog(path: Path) -> Catalog:
    """Read and check a catalog.

    Raises CatalogError with one line a mistake: file, table, key, expected, got.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise CatalogError(f"{path}: no such catalog. Write one, or name another in {VARIABLE}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: not valid TOML: {error}.") from error
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}.") from error
    try:
        catalog = Catalog.model_validate(raw)
    except ValidationError as error:
        lines: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
        for detail in error.errors():  # of the forms that a value may take, each is refused: say them in one line
            where = tuple(step for step in detail["loc"] if step not in FORMS)
            lines.setdefault(where, []).append(detail)
        raise CatalogError("\n".join(_explain(path, where, details) for where, details in lines.items())) from error
    _check_names(path, catalog)
    return catalog


def _explain(path: Path, where: tuple[int | str, ...], details: list[ErrorDetails]) -> str:
    """Say pydantic's findings on one key as file: [table]: key: expected, got."""
    *steps, key = where
    table = "".join(f" entry {step + 1}" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    place, detail = f"{path.name}: [{table or 'top level'}]", details[0]
    if detail["type"] == "extra_forbidden":
        return f'{place}: unknown key "{key}"{near(str(key), _keys_beside(list(where)))}.'
    if detail["type"] == "missing":
        return f'{place}: key "{key}" is missing: expected a value, got none.'
    expected = " or ".join(_expected(detail) for detail in details)
    what = f"entry {key + 1}" if isinstance(key, int) else key
    return f"{place}: {what}: expected {expected}, got {detail['input']!r} ({type(detail['input']).__name__})."


def _expected(detail: ErrorDetails) -> str:
    """Say what would have been right, in a catalog's words."""
    if detail["type"] == "string_pattern_mismatch":
        return PATTERNS.get(detail["ctx"]["pattern"], f"text of the form {detail['ctx']['pattern']}")
    if detail["type"] in {"tuple_type", "model_type", "model_attributes_type", "dict_type"}:
        return "a list" if detail["type"] == "tuple_type" else "a table"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return message.removeprefix("expected ")


def _keys_beside(steps: list[Any]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    model: Any = Catalog
    for step in steps[:-1]:
        if isinstance(step, int) or not hasattr(model, "model_fields"):
            continue
        field = model.model_fields.get(str(step))
        if field is None:
            continue
        model = _table_in(field.annotation)
    return list(model.model_fields) if hasattr(model, "model_fields") else []


def _table_in(annotation: Any) -> Any:
    """Return the table class inside `dict[str, Table]`, `tuple[Table, ...]` or `Table` itself."""
    for argument in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(argument, type) and issubclass(argument, Table):
            return argument
    return annotation


def _check_names(path: Path, catalog: Catalog) -> None:
    """Check what one table says of another."""
    stems: dict[str, str] = {}
    for table, names in (("datasets", catalog.datasets), ("encoders", catalog.encoders), ("jobs", catalog.jobs)):
        for name in names:
            twins = [other for other in names if other != name and other.casefold() == name.casefold()]
            if twins or name.endswith((".json", ".jsonl")):
                got = f'"{twins[0]}" beside it' if twins else "a file's suffix"
                raise CatalogError(f'{path.name}: [{table}."{name}"]: names become files and folders: got {got}.')
            if not NAME.fullmatch(name):
                raise CatalogError(
                    f'{path.name}: [{table}."{name}"]: a name holds letters, digits, "_", "-" and "." only.'
                )
    for name, dataset in catalog.datasets.items():
        where = f"{path.name}: [datasets.{name}]"
        if dataset.corpus not in corpora.names():
            raise CatalogError(f'{where}: corpus: no reader "{dataset.corpus}"{near(dataset.corpus, corpora.names())}.')
        for encoder in dataset.encoders or ():
            if encoder not in catalog.encoders:
                raise CatalogError(f'{where}: encoders: no encoder "{encoder}"{near(encoder, catalog.encoders)}.')
        for archive in dataset.archives:
            if Path(archive.file).is_absolute() or ".." in Path(archive.file).parts:
                raise CatalogError(f'{where}: archives: expected a file below its folder, got "{archive.file}".')
        stem = dataset.manifest or name
        if not NAME.fullmatch(stem):
            raise CatalogError(f'{where}: manifest: expected a plain name, got "{stem}".')
        if stem in stems:
            raise CatalogError(f'{where}: manifest: "{stem}" is already the stem of [datasets.{stems[stem]}].')
        stems[stem] = name
    for stem, name in stems.items():
        for split in corpora.SPLITS:
            if (owner := stems.get(f"{stem}_{split}")) is not None:
                raise CatalogError(
                    f'{path.name}: [datasets.{owner}]: manifest: "{stem}_{split}" is what the {split} split of'
                    f" [datasets.{name}] is called. Name another stem."
                )
    for name, job in catalog.jobs.items():
        for dataset_name in job.datasets:
            if dataset_name not in catalog.datasets:
                hint = near(dataset_name, catalog.datasets)
                raise CatalogError(f'{path.name}: [jobs.{name}]: datasets: no dataset "{dataset_name}"{hint}.')
