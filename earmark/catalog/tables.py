"""The tables of a catalog: which keys there are, what each may hold, and what holds where a key is absent."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from earmark.encoders import AnyEncoderTable
from earmark.table import Table

SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}  # bytes, SI
MD5, SHA256, XXH3 = r"^[0-9a-f]{32}$", r"^[0-9a-f]{64}$", r"^[0-9a-f]{32}$"
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
LABELS = r"^[a-z0-9_]+(\|[a-z0-9_]+)*$"
PATTERNS = {
    LABELS: 'a label, or several of which one is enough, such as "text|phonemes"',
    MD5: "32 lower-case hex digits",
    SHA256: "64 lower-case hex digits",
    LANGUAGE: 'a BCP 47 tag such as "en"',
}

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
    licences: tuple[str, ...] = Field(default=(), strict=False)  # patterns; mind that "CC-BY-*" takes in CC-BY-NC-4.0
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
    encoders: dict[str, AnyEncoderTable] = {}
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
