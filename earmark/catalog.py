"""The catalog: `datasets.toml`, facts about corpora, encoders, jobs and disk, read strictly.

`EARMARK_CATALOG` names another file; every relative path in a catalog resolves against that file's own folder.
"""

import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from earmark import corpora
from earmark.encoders import f0_range
from earmark.errors import CatalogError, near

VARIABLE = "EARMARK_CATALOG"
SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}  # bytes, SI
FORMS = {"literal['mean']", "constrained-int"}  # pydantic's names for the forms that `channel` may take
MD5, SHA256, XXH3 = r"^[0-9a-f]{32}$", r"^[0-9a-f]{64}$", r"^[0-9a-f]{32}$"
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
LABELS = r"^[a-z0-9_]+(\|[a-z0-9_]+)*$"
SPLIT_SUFFIXES = tuple(f"_{split}" for split in corpora.SPLITS)
PATTERNS = {
    LABELS: 'a label, or several of which one is enough, such as "text|phonemes"',
    MD5: "32 lower-case hex digits",
    SHA256: "64 lower-case hex digits",
    LANGUAGE: 'a BCP 47 tag such as "en"',
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what a task, a folder and a file may all be called


SplitName = Literal["train", "dev", "test"]
Policy = Literal["official", "fold", "group"]


def parse_size(text: str) -> str:
    """Check a size such as "3.0 TB" and return it."""
    number, _, unit = text.strip().partition(" ")
    if unit.upper() not in SIZE_UNITS or not re.fullmatch(r"\d+(\.\d+)?", number):
        raise ValueError('expected a number, a space and a unit of B, KB, MB, GB, TB, PB, as in "3.0 TB"')
    return text


def parse_wanted(value: Any) -> Any:
    """Check what a label is to be: a value, or a list of values."""
    if any(not isinstance(one, str | bool | int | float) for one in (value if isinstance(value, list) else [value])):
        raise ValueError("expected text, a number, true or false, or a list of them")
    return value


def parse_reason(text: str) -> str:
    """Check that a reason was given and return it."""
    if not text.strip():
        raise ValueError("expected the reason, in words")
    return text


def in_list(value: Any) -> Any:
    """Return one name, or a list of names, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


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
    """One encoder: which weights, computed how, stored how; of kind "f0", between which frequencies."""

    kind: Literal["whisper", "f0"] = "whisper"
    model: str = Field(default="", min_length=1)
    engine: Literal["auto", "mlx", "openvino"] = "auto"
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    window: Literal["padded", "clip"] = "padded"
    codec: Literal["float16", "float32"] = "float16"
    floor_hz: float | None = Field(default=None, gt=0)
    ceiling_hz: float | None = Field(default=None, gt=0)


class DownloadTable(Table):
    """One downloaded file, with what its publisher says of it."""

    file: str
    size: int | None = Field(default=None, ge=1)
    md5: str | None = Field(default=None, pattern=MD5)
    sha256: str | None = Field(default=None, pattern=SHA256)
    xxh3: str | None = Field(default=None, pattern=XXH3)

    @property
    def sums(self) -> dict[str, str]:
        """Published sums by algorithm."""
        named = {"md5": self.md5, "sha256": self.sha256, "xxh3": self.xxh3}
        return {algorithm: value for algorithm, value in named.items() if value}


class ArchiveTable(DownloadTable):
    """One archive of a dataset; of one cut in several files, or a split zip, `file` is the last, `parts` the others.

    `nested` are patterns of members that are archives themselves, `skip` of members that are left out.
    """

    parts: tuple[DownloadTable, ...] = Field(default=(), strict=False)
    nested: tuple[str, ...] = Field(default=(), strict=False)
    skip: tuple[str, ...] = Field(default=(), strict=False)
    generator: Literal["demo"] | None = None

    @property
    def downloads(self) -> tuple[DownloadTable, ...]:
        """Return the files of the archive in the order of their bytes."""
        return (*self.parts, self)


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
    spaces: dict[str, str] = {}  # labels whose values mean the same in every dataset that names the same space
    per_split: bool = True  # one manifest file a split, or all rows in one
    watch: Literal["files", "folders", "auto"] = "auto"
    shard_files: int = Field(default=4096, ge=1)
    shard_hours: float = Field(default=10.0, gt=0)
    options: dict[str, Any] = {}


class ManifestTable(Table):
    """A joint manifest: the rows of several datasets in one file."""

    datasets: tuple[str, ...] = Field(strict=False, min_length=1)


class JobTable(Table):
    """One training job: whose rows, carrying which labels, in which split."""

    datasets: tuple[str, ...] = Field(strict=False, min_length=1)
    labels: tuple[Annotated[str, Field(pattern=LABELS)], ...] = Field(default=(), strict=False)  # "a|b": either
    unit: Literal["recording", "segment"] = "recording"
    features: tuple[str, ...] = Field(default=(), strict=False)  # encoders
    keep_defects: bool = False
    min_duration: float | None = Field(default=None, ge=0)  # seconds
    max_duration: float | None = Field(default=None, gt=0)
    languages: tuple[Annotated[str, Field(pattern=LANGUAGE)], ...] = Field(default=(), strict=False)
    licences: tuple[str, ...] = Field(default=(), strict=False)  # patterns such as "CC-BY-*"
    splits: tuple[SplitName, ...] = Field(default=(), strict=False)  # the publisher's, of which rows are taken
    where: dict[str, Annotated[Any, AfterValidator(parse_wanted)]] = {}  # label -> its value, or one of several
    without: dict[str, Annotated[Any, AfterValidator(parse_wanted)]] = {}  # likewise, of rows that are left out
    split: Annotated[tuple[Policy, ...], BeforeValidator(in_list), Field(min_length=1)] = ("official",)
    unsplit: SplitName | None = None  # where rows go of which no policy can tell
    dev: float = Field(default=0.05, ge=0, lt=1)  # shares of the groups
    test: float = Field(default=0.05, ge=0, lt=1)
    dev_folds: tuple[int, ...] = Field(default=(), strict=False)
    test_folds: tuple[int, ...] = Field(default=(), strict=False)
    seed: int = 0
    leakage: Literal["fail", "drop"] = "fail"
    accept_leakage: dict[str, Annotated[str, AfterValidator(parse_reason)]] = {}  # kind -> why it is right


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
    manifests: dict[str, ManifestTable] = {}
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
    for table, names in _named(catalog).items():
        for name in names:
            twins = [other for other in names if other != name and other.casefold() == name.casefold()]
            if twins or name.endswith((".json", ".jsonl")):
                got = f'"{twins[0]}" beside it' if twins else "a file's suffix"
                raise CatalogError(f'{path.name}: [{table}."{name}"]: names become files and folders: got {got}.')
            if not NAME.fullmatch(name):
                raise CatalogError(
                    f'{path.name}: [{table}."{name}"]: a name holds letters, digits, "_", "-" and "." only.'
                )
    for name, encoder in catalog.encoders.items():
        _check_encoder(f"{path.name}: [encoders.{name}]", encoder)
    for name, dataset in catalog.datasets.items():
        where = f"{path.name}: [datasets.{name}]"
        if dataset.corpus not in corpora.names():
            raise CatalogError(f'{where}: corpus: no reader "{dataset.corpus}"{near(dataset.corpus, corpora.names())}.')
        for wished in dataset.encoders or ():
            if wished not in catalog.encoders:
                raise CatalogError(f'{where}: encoders: no encoder "{wished}"{near(wished, catalog.encoders)}.')
        for archive in dataset.archives:
            for download in archive.downloads:
                if Path(download.file).is_absolute() or ".." in Path(download.file).parts:
                    raise CatalogError(f'{where}: archives: expected a file below its folder, got "{download.file}".')
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
    _check_manifests(path, catalog, stems)
    for name, job in catalog.jobs.items():
        _check_datasets(path, catalog, f"[jobs.{name}]", job.datasets)
        if wrong := _wrong_in_job(catalog, job):
            raise CatalogError(f"{path.name}: [jobs.{name}]: {wrong}.")


def _check_encoder(where: str, encoder: EncoderTable) -> None:
    """Check that an encoder's keys are those of its kind."""
    if encoder.kind == "whisper" and not encoder.model:
        raise CatalogError(f'{where}: key "model" is missing: expected a value, got none.')
    others = {"whisper": ("floor_hz", "ceiling_hz"), "f0": ("model", "engine", "precision", "window")}[encoder.kind]
    for key in others:
        if key in encoder.model_fields_set:
            raise CatalogError(f'{where}: {key}: an encoder of kind "{encoder.kind}" has no such key.')
    if encoder.kind == "f0":
        f0_range(encoder.floor_hz, encoder.ceiling_hz, where)


def _named(catalog: Catalog) -> dict[str, Collection[str]]:
    """Return the names in each of the tables whose names become files."""
    return {
        "datasets": catalog.datasets,
        "encoders": catalog.encoders,
        "manifests": catalog.manifests,
        "jobs": catalog.jobs,
    }


def _check_datasets(path: Path, catalog: Catalog, table: str, names: tuple[str, ...]) -> None:
    """Check that a table's list names datasets, each once."""
    for name in names:
        if name not in catalog.datasets:
            hint = near(name, catalog.datasets)
            raise CatalogError(f'{path.name}: {table}: datasets: no dataset "{name}"{hint}.')
        if names.count(name) > 1:
            raise CatalogError(f'{path.name}: {table}: datasets: "{name}" stands there twice.')


def _check_manifests(path: Path, catalog: Catalog, stems: dict[str, str]) -> None:
    """Check the joint manifests: no task and no file of theirs may be that of a dataset."""
    taken = {f"{stem}{split}".casefold(): name for stem, name in stems.items() for split in ("", *SPLIT_SUFFIXES)}
    taken |= {name.casefold(): name for name in catalog.datasets}
    for name, manifest in catalog.manifests.items():
        _check_datasets(path, catalog, f"[manifests.{name}]", manifest.datasets)
        if owner := taken.get(name.casefold()):
            raise CatalogError(
                f"{path.name}: [manifests.{name}]: that is what a task or a manifest of [datasets.{owner}] is called."
                " Take another name."
            )


def _wrong_in_job(catalog: Catalog, job: JobTable) -> str:
    """Return what of a job's table does not fit the rest of it, or an empty string."""
    for encoder in job.features:
        if encoder not in catalog.encoders:
            return f'features: no encoder "{encoder}"{near(encoder, catalog.encoders)}'
        for name in job.datasets:
            if encoder not in catalog.encoders_of(name):
                return f'features: [datasets.{name}] does not name "{encoder}" in its encoders'
    kinds = sorted({"audio_hash", *(label for name in job.datasets for label in catalog.datasets[name].disjoint)})
    for kind in job.accept_leakage:
        if kind not in kinds:
            return f'accept_leakage: expected {" or ".join(kinds)}, got "{kind}"{near(kind, kinds)}'
    folds = {*job.dev_folds, *job.test_folds}
    if bool(folds) != ("fold" in job.split):
        return 'dev_folds and test_folds go with split = "fold": expected both or none'
    if both := sorted({*job.dev_folds} & {*job.test_folds}):
        return f"dev_folds and test_folds: expected no fold in both, got {both[0]}"
    if "group" in job.split[:-1]:
        return 'split: "group" can tell of every row: expected it at the end'
    if "group" in job.split and job.unsplit is not None:
        return f'unsplit: split = "group" leaves no row without a split: expected none, got "{job.unsplit}"'
    if "group" not in job.split and job.model_fields_set & {"dev", "test", "seed"}:
        return 'dev, test and seed go with split = "group": expected none of them'
    if job.dev + job.test >= 1:
        return f"dev and test: expected shares that leave some for train, got {job.dev} and {job.test}"
    if job.min_duration and job.max_duration and job.min_duration > job.max_duration:
        return f"min_duration: expected at most max_duration = {job.max_duration}, got {job.min_duration}"
    return ""
