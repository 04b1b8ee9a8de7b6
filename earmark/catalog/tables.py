"""The tables of a catalog: which keys there are, what values each may have, and its value where it is absent.

The description of each key is its entry in docs/catalog.md, which `doit docs` writes.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, field_validator

from earmark.audio.policy import MAX_SHORT_S
from earmark.catalog.licences import expected_licence, expected_pattern
from earmark.encoders import AnyEncoderTable
from earmark.languages import is_language
from earmark.table import Table

SIZE = re.compile(r"\s*\d+(\.\d+)? ?[kKmMgGtTpP]?[bB]\s*")  # the whole text: ByteSize reads "3,5 TB" as 3 bytes
MD5, SHA256, XXH3 = r"^[0-9a-f]{32}$", r"^[0-9a-f]{64}$", r"^[0-9a-f]{32}$"
LABELS = r"^[a-z0-9_]+(\|[a-z0-9_]+)*$"
# what a message says in place of the pattern, which few people read
PATTERNS = {
    LABELS: 'a label, or several of which one is enough, such as "text|phonemes"',
    MD5: "32 lower-case hex digits",
    SHA256: "64 lower-case hex digits",
}

SplitName = Literal["train", "dev", "test"]
Policy = Literal["official", "fold", "group"]


def parse_size(value: object) -> object:
    """Check the form of a size such as "3.0 TB" and return it."""
    if not isinstance(value, str) or not SIZE.fullmatch(value):
        raise ValueError('expected a number, a space and a unit of B, KB, MB, GB, TB, PB, as in "3.0 TB"')
    return value


def parse_wanted(value: object) -> object:
    """Check what a label is to be: a value, or a list of values."""
    # no table, no date: no label of a manifest could ever be equal to it, and the job would be empty without a word
    if any(not isinstance(one, str | bool | int | float) for one in (value if isinstance(value, list) else [value])):
        raise ValueError("expected text, a number, true or false, or a list of them")
    return value


def parse_reason(text: str) -> str:
    """Check that a reason was given and return it."""
    if not text.strip():
        raise ValueError("expected the reason, in words")
    return text


def parse_language(tag: str) -> str:
    """Check a BCP 47 tag and return it."""
    if not is_language(tag):
        raise ValueError('expected a BCP 47 tag such as "en"')
    return tag


def parse_licence(text: str) -> str:
    """Check the licence of a dataset and return it."""
    if expected := expected_licence(text):
        raise ValueError(f"expected {expected}")
    return text


def parse_pattern(text: str) -> str:
    """Check an entry of a job's licences and return it."""
    if expected := expected_pattern(text):
        raise ValueError(f"expected {expected}")
    return text


def in_list(value: object) -> object:
    """Return one name, or a list of names, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


# Lists are tuples here, for tables are frozen. TOML has lists alone, which strict pydantic does not take for tuples:
# hence `strict=False` at each of them; what is in the list is checked as strictly as anything else.
Size = Annotated[ByteSize, BeforeValidator(parse_size)]
Language = Annotated[str, AfterValidator(parse_language)]
Licence = Annotated[str, AfterValidator(parse_licence)]
LicencePattern = Annotated[str, AfterValidator(parse_pattern)]
Wanted = Annotated[object, AfterValidator(parse_wanted)]
Reason = Annotated[str, AfterValidator(parse_reason)]
Count = Annotated[int, Field(ge=0)]


class Paths(Table):
    """The folders of the collection; relative ones are below the folder of your own catalog file."""

    data: str = Field(default="data", description="one folder a dataset; may be on another volume")
    standard: str = Field(default="data/standard", description="canonical audio: 16 kHz, mono, int16")
    manifests: str = Field(default="manifests", description="the JSONL that training reads")
    cache: str = Field(default="cache", description="receipts, shard lists, feature packs: all that can be made again")


class Disk(Table):
    """How much disk the whole collection may take."""

    budget: Size | None = Field(
        default=None,
        description='of everything below `paths`, such as "3.0 TB"; a run that would exceed it does not begin',
    )

    @property
    def budget_bytes(self) -> int | None:
        """The budget in bytes, or None where none is set."""
        return None if self.budget is None else int(self.budget)


class Standard(Table):
    """What canonical audio is stored as."""

    format: Literal["flac", "wav", "none"] = Field(
        default="flac", description='`"none"` stores nothing: features come straight from the source'
    )
    resampler: Literal["QQ", "LQ", "MQ", "HQ", "VHQ"] = Field(
        default="HQ", description="quality of soxr, from quick to best"
    )


class DownloadTable(Table):
    """One downloaded file, with what its publisher states of it."""

    file: str = Field(description="its name in the dataset's folder")
    size: int | None = Field(default=None, ge=1, description="bytes")
    md5: str | None = Field(default=None, pattern=MD5, description="published sum")
    sha256: str | None = Field(default=None, pattern=SHA256, description="published sum")
    xxh3: str | None = Field(default=None, pattern=XXH3, description="sum, XXH3 of 128 bits")

    @property
    def sums(self) -> dict[str, str]:
        """Published sums by algorithm."""
        named = {"md5": self.md5, "sha256": self.sha256, "xxh3": self.xxh3}
        return {algorithm: value for algorithm, value in named.items() if value}


class ArchiveTable(DownloadTable):
    """One archive of a dataset; of one that is cut in several files, or of a split zip, `file` is the last."""

    parts: tuple[DownloadTable, ...] = Field(
        default=(),
        strict=False,
        description="the files before `file`, in the order of their bytes, each a table like this",
    )
    nested: tuple[str, ...] = Field(
        default=(), strict=False, description="patterns of members that are archives themselves, to be unpacked too"
    )
    skip: tuple[str, ...] = Field(default=(), strict=False, description="patterns of members that are left out")
    names: str | None = Field(
        default=None,
        description="encoding of members' names where the archive does not say that they are UTF-8, such as `cp932`,"
        " `gbk` or `latin-1`",
    )
    rest: Literal["refuse", "ignore"] = Field(
        default="refuse",
        description="whether bytes of its files that are no part of the archive are an error, or passed over; cleanup"
        " never deletes an archive that is read so",
    )
    generator: Literal["demo"] | None = Field(default=None, description="made here instead of downloaded")

    @field_validator("names")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError:
            raise ValueError(f"no encoding {value!r}; Python's documentation of codecs lists them") from None
        return value

    @property
    def downloads(self) -> tuple[DownloadTable, ...]:
        """Return the files of the archive in the order of their bytes."""
        return (*self.parts, self)


class Expect(Table):
    """What must be below the root once everything is extracted."""

    folders: tuple[str, ...] = Field(default=(), strict=False, description="folders that must be there")
    files: dict[str, Count] = Field(default={}, description='how many files match a pattern: `{ "*.flac" = 292367 }`')


class DatasetTable(Table):
    """One dataset: where it is, how it is read, what is made of it."""

    corpus: str = Field(description="the reader: a module of earmark/corpora")
    folder: str | None = Field(
        default=None,
        description="below `paths.data`; archives are in it and are extracted into it; the dataset's name where absent",
    )
    root: str = Field(default=".", description="where the reader starts, below `folder`")
    archives: tuple[ArchiveTable, ...] = Field(default=(), strict=False, description="what was downloaded")
    expect: Expect = Field(default=Expect(), description="what must be there once all is extracted")
    language: Language | None = Field(default=None, description="BCP 47 tag of rows whose labels name none")
    hours: float | None = Field(default=None, gt=0, description="hours of audio, as published: for docs/corpora.md")
    licence: Licence | None = Field(
        default=None, description="SPDX expression or a name listed below, of rows whose labels name none"
    )
    home: str | None = Field(default=None, description="where the corpus is published")
    encoders: tuple[str, ...] | None = Field(
        default=None, strict=False, description="whose features are made; the catalog's first encoder where absent"
    )
    manifest: str | None = Field(
        default=None, description="start of the names of its JSONL files; the dataset's name where absent"
    )
    # 100: some datasets can go before all others without a number for each
    priority: int = Field(default=100, description="order of work: the lowest first")
    # More than these shares are no broken files of the publisher but something that went wrong here: a decoder, a
    # download, a wrong folder. The task fails, and says so before the rows are missed in training.
    max_bad: float = Field(default=0.001, ge=0, le=1, description="share of recordings that may go to quarantine")
    max_short: float = Field(
        default=MAX_SHORT_S,
        ge=0,
        description="seconds that a recording may be shorter than its header says and stay, with a defect",
    )
    media_time: bool = Field(
        default=False,
        description="silence where a container's time stamps leave gaps or begin late, so that labels made with a"
        " player fit; absent: what there is, one after the other, with a defect",
    )
    max_missing: float = Field(
        default=0.01, ge=0, le=1, description="share of labels that may be without audio, or broken"
    )
    repair: Literal["certain"] | None = Field(
        default=None,
        description="what to restore in texts that are suspicious: what is certain, such as cp1252 that was read as"
        " Latin-1; nothing where absent",
    )
    channel: Literal["mean"] | Count = Field(
        default="mean", description="the mean of all channels, or one of them from 0"
    )
    disjoint: tuple[str, ...] = Field(
        default=(), strict=False, description="labels whose values no two splits may share"
    )
    spaces: dict[str, str] = Field(
        default={},
        description="labels whose values mean the same in every dataset that names the same space:"
        ' `{ speaker_id = "librivox" }`',
    )
    per_split: bool = Field(default=True, description="one manifest file a split, or all rows in one")
    watch: Literal["files", "folders", "content", "auto"] = Field(
        default="auto",
        description="how edits are noticed: by the stat of each file, by folders alone, by reading all files at each"
        " look, or by files up to 100,000 of them",
    )
    # A shard is what one edit makes anew and what a stopped run loses. Larger ones cost more then; smaller ones make
    # more tasks, each with a receipt to read at every start.
    shard_files: int = Field(default=4096, ge=1, description="most recordings in a shard")
    shard_hours: float = Field(default=10.0, gt=0, description="most hours in a shard")
    # not checked here: only the reader knows them, and it is imported when it reads
    options: dict[str, object] = Field(default={}, description="the reader's own; see the head of its module")


class ManifestTable(Table):
    """A joint manifest: the rows of several datasets in one file."""

    datasets: tuple[str, ...] = Field(
        strict=False, min_length=1, description="in this order; one that is not on this disk is skipped"
    )


class JobTable(Table):
    """One training job: whose rows, with which labels, in which split."""

    datasets: tuple[str, ...] = Field(
        strict=False, min_length=1, description="whose rows; one that is not on this disk is skipped"
    )
    labels: tuple[Annotated[str, Field(pattern=LABELS)], ...] = Field(
        default=(), strict=False, description='what a row must have; `"text|phonemes"`: one of the two'
    )
    unit: Literal["recording", "segment"] = Field(default="recording", description="what a row is")
    features: tuple[str, ...] = Field(default=(), strict=False, description="encoders whose features rows refer to")
    keep_defects: bool | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=False, description="whether rows with known defects stay, or a list of the kinds with which they do"
    )
    min_rms_db: float | None = Field(
        default=None, le=0, description="loudness of a recording at the least, RMS in dB below full scale, such as -50"
    )
    max_clipped: float | None = Field(
        default=None, ge=0, le=1, description="share of a recording's samples that may be at full scale"
    )
    max_silence: float | None = Field(
        default=None, ge=0, le=1, description="share of a recording's frames of 20 ms that may be below -60 dB"
    )
    min_duration: float | None = Field(default=None, ge=0, description="seconds")
    max_duration: float | None = Field(default=None, gt=0, description="seconds")
    max_overlap: float | None = Field(
        default=None, ge=0, le=1, description="share of a segment during which others may speak, too"
    )
    languages: tuple[Language, ...] = Field(
        default=(), strict=False, description='BCP 47 tags that are taken; `"en"` takes "en-GB" too'
    )
    licences: tuple[LicencePattern, ...] = Field(
        default=(),
        strict=False,
        description='licences that are taken; `"CC-BY-*"`: any version of CC-BY, but no CC-BY-NC. See "Licences" below',
    )
    splits: tuple[SplitName, ...] = Field(
        default=(), strict=False, description="the publisher's splits of which rows are taken"
    )
    where: dict[str, Wanted] = Field(default={}, description="label -> the value that it must have, or a list of them")
    without: dict[str, Wanted] = Field(
        default={}, description="label -> the value that it must not have, or a list of them"
    )
    split: Annotated[tuple[Policy, ...], BeforeValidator(in_list), Field(min_length=1)] = Field(
        default=("official",),
        description="how rows are split: as published, by `fold`, or by chance with groups kept together;"
        " of a list, the first that can tell",
    )
    unsplit: SplitName | None = Field(default=None, description="the split of rows of which no policy can tell")
    dev: float = Field(default=0.05, ge=0, lt=1, description='share of groups, with `split = "group"`')
    test: float = Field(default=0.05, ge=0, lt=1, description='share of groups, with `split = "group"`')
    dev_folds: tuple[int, ...] = Field(default=(), strict=False, description='with `split = "fold"`')
    test_folds: tuple[int, ...] = Field(default=(), strict=False, description='with `split = "fold"`')
    seed: int = Field(default=0, description='of the chance, with `split = "group"`')
    leakage: Literal["fail", "drop"] = Field(
        default="fail",
        description="where a row shares audio, speaker or group with another split: fail, or drop the row",
    )
    # text, not true: the reason is copied to the job's summary, for those who find the leak later
    accept_leakage: dict[str, Reason] = Field(
        default={}, description="kinds of leakage that are right here -> the reason, in words"
    )

    @property
    def asks_levels(self) -> bool:
        """Whether how loud a recording is decides on its rows."""
        return any(limit is not None for limit in (self.min_rms_db, self.max_clipped, self.max_silence))


class RunTable(Table):
    """Where heavy work runs."""

    engine: Literal["local"] = Field(default="local", description="on this machine")
    workers: int = Field(default=0, ge=0, description="processes that decode; 0: one a core")


class Catalog(Table):
    """A whole catalog: the head of the file, and the tables in it."""

    extends: Annotated[tuple[str, ...], BeforeValidator(in_list)] = Field(
        default=(),
        description='the catalog that this one takes over: `"earmark"` (the shipped one), a path, or a list',
    )
    paths: Paths = Field(default=Paths(), description="where everything is")
    disk: Disk = Field(default=Disk(), description="how much room there is")
    standard: Standard = Field(default=Standard(), description="how canonical audio is stored")
    encoders: dict[str, AnyEncoderTable] = Field(
        default={}, description="by name; the first is that of datasets which name none"
    )
    datasets: dict[str, DatasetTable] = Field(default={}, description="by name")
    manifests: dict[str, ManifestTable] = Field(default={}, description="joint manifests by name")
    jobs: dict[str, JobTable] = Field(default={}, description="training jobs by name")
    run: RunTable = Field(default=RunTable(), description="where heavy work runs")

    def encoders_of(self, dataset: str) -> tuple[str, ...]:
        """Return the names of a dataset's encoders: its own list, or the catalog's first encoder."""
        named = self.datasets[dataset].encoders  # an empty list is a choice, too: no features
        return tuple(self.encoders)[:1] if named is None else named

    def by_priority(self) -> list[str]:
        """Return the datasets' names in the order of work."""
        return sorted(self.datasets, key=lambda name: (self.datasets[name].priority, name))
