"""`extends`: a catalog takes over the tables of others, changes single keys of them, and drops what it does not want.

    extends = "earmark"          # the shipped catalog; or a path; or a list, whose later ones change the earlier

    [datasets]
    timit = false                # dropped

    [datasets.librispeech]       # what is not named here stays as it was
    max_bad = 0.01

Tables are merged key by key, all the way down; any other value, a list too, replaces what was there. `false` in place
of a table drops it, and its name leaves the lists of the jobs, joint manifests and datasets that were taken over; a job
or joint manifest whose list is then empty goes with it. A dataset of another `corpus`, or an encoder of another `kind`,
is another thing: its table replaces the one before.

Encoders that a file adds come before those that it takes over, so its own first one is that of datasets which name
none. Every relative path, in whichever file it is written, is below the folder of the user's own file: an extended
catalog says what there is, never where. Only the paths in `extends` itself are relative to the file that names them.
"""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.disk.files import real
from earmark.encoders import DEFAULT_KIND
from earmark.errors import CatalogError, near

VARIABLE = "EARMARK_CATALOG"
KEY = "extends"
SHIPPED = "earmark"  # what the shipped catalog is called
FILE = "datasets.toml"
LARGEST = 4_000_000  # bytes: that of a hundred corpora has a tenth of a million
FAMILIES = {"datasets": "dataset", "encoders": "encoder", "manifests": "joint manifest", "jobs": "job"}
WHAT_IT_IS = {"datasets": ("corpus", None), "encoders": ("kind", DEFAULT_KIND)}  # the key, and its value where absent
LISTS = {  # the lists that name things of a family, by the family and the key
    "datasets": (("jobs", "datasets"), ("manifests", "datasets")),
    "encoders": (("datasets", "encoders"), ("jobs", "features")),
}

Tables = dict[str, object]  # as TOML gives them


@dataclass(frozen=True)
class Layer:
    """One catalog file: what it is called in messages, and its tables as they are written."""

    name: str
    tables: Tables


@dataclass(frozen=True)
class Layers:
    """A catalog file and those that it extends, the user's own last; `merged` is what they are together."""

    layers: tuple[Layer, ...]
    merged: Tables

    @property
    def own(self) -> str:
        """What the user's own file is called in messages."""
        return self.layers[-1].name

    def file_of(self, *steps: int | str) -> str:
        """Return the name of the file that decides a key, given the tables down to it: the last one that has it."""
        for length in range(len(steps), 0, -1):  # a key that is missing is in no file: that of its table is named then
            for layer in reversed(self.layers):
                if _has(layer.tables, steps[:length]):
                    return layer.name
        return self.own


def shipped_catalog() -> Path:
    """Return the path of the catalog that comes with earmark: data of the package, or a checkout's own.

    Raises CatalogError where there is none.
    """
    here = Path(__file__)
    for path in (here.with_name(FILE), here.parents[2] / FILE):
        if path.is_file():
            return path
    raise CatalogError(f"{here.with_name(FILE)}: the shipped catalog is missing. Install earmark again.")


def read_layers(path: Path, text: str | None = None) -> Layers:
    """Read a catalog and those that it extends; `text`, where given, is read in place of what is in the file.

    Raises CatalogError with one line: a file that is missing, unreadable or no TOML, a circle, an unknown name.
    """
    tables = parse_toml(path.name, _read(path, str(path)) if text is None else text)
    layers = (*_extended(path, path.name, tables, [path], path.parent), Layer(path.name, tables))
    merged: Tables = {}
    for layer in layers:  # from the bottom up, so that `false` sees all that its file extends and nothing above it
        merged = _lay_over(merged, layer)
    return Layers(layers, merged | ({KEY: tables[KEY]} if KEY in tables else {}))


def parse_toml(name: str, text: str) -> Tables:
    """Return the tables of a TOML text. Raises CatalogError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{name}: not valid TOML: {error}.") from error


def _read(path: Path, name: str, missing: str = "") -> str:
    """Return the text of a catalog file. Raises CatalogError, with its own words for a file that is missing."""
    missing = missing or (
        f"{name}: no such catalog. Write one, or name another in {VARIABLE}."
        f" Where {VARIABLE} is unset, `doit new-catalog at=<folder>` writes one."
    )
    try:
        status = path.stat()
        if status.st_size > LARGEST:
            raise CatalogError(f"{name}: expected a catalog of up to {LARGEST:,} bytes, got {status.st_size:,}.")
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever for somebody to write
            kind = "a folder" if path.is_dir() else "a pipe" if path.is_fifo() else "a device"
            raise CatalogError(f"{name}: expected a file in TOML, got {kind}.")
        return path.read_text("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CatalogError(missing) from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"{name}: not valid TOML: {error}.") from error
    except OSError as error:
        raise CatalogError(f"{name}: cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a path with a null character
        raise CatalogError(f"{name}: cannot be read: {error}.") from error


def _extended(path: Path, name: str, tables: Tables, chain: Sequence[Path], home: Path) -> Iterator[Layer]:
    """Yield the layers that a file extends, each after those that it extends itself; `chain` leads to the file."""
    for wanted in _wanted(name, tables.get(KEY, [])):
        other = shipped_catalog() if wanted == SHIPPED else path.parent / wanted
        called = f"earmark's {FILE}" if wanted == SHIPPED else Path(os.path.relpath(other, home)).as_posix()
        where = f"{name}: {KEY}: {called}"
        text = _read(other, where, _missing(name, wanted, called))
        # two files may extend the same third one; only one that leads back to itself never ends
        if any(real(other) == real(before) for before in chain):
            raise CatalogError(f"{where} extends this file in turn: expected no circle. Leave one of the two out.")
        below = parse_toml(called, text)
        yield from _extended(other, called, below, [*chain, other], home)
        yield Layer(called, below)


def _missing(name: str, wanted: str, called: str) -> str:
    """Return the message for an extended catalog that is not there: a path, or a name that was misspelt."""
    if "/" in wanted or wanted.endswith(".toml"):
        return f"{name}: {KEY}: {called}: no such catalog. Write it, or name another."
    hint = near(wanted, [SHIPPED])
    return f'{name}: {KEY}: no catalog "{wanted}"{hint}: expected "{SHIPPED}", a path, or a list of them.'


def _wanted(name: str, value: object) -> list[str]:
    """Return the catalogs that a file names in `extends`. Raises CatalogError for another type."""
    several: list[object] = value if isinstance(value, list) else [value]
    for one in several:
        if not isinstance(one, str) or not one:
            raise CatalogError(
                f'{name}: [top level]: {KEY}: expected "{SHIPPED}", a path, or a list of them,'
                f" got {one!r} ({type(one).__name__})."
            )
    return [str(one) for one in several]


def _has(tables: object, steps: Sequence[int | str]) -> bool:
    """Say whether a file has a key, given the tables down to it; a step into a list is its index."""
    for step in steps:
        there = step in tables if isinstance(tables, dict) else isinstance(tables, list) and step in range(len(tables))
        if not there:
            return False
        tables = tables[step]  # type: ignore[index]  # a dict or a list, as was just seen
    return True


def _lay_over(below: Tables, layer: Layer) -> Tables:
    """Return the tables of one layer over those below it."""
    above = {key: value for key, value in layer.tables.items() if key != KEY}
    kept = dict(below)
    for family in FAMILIES:
        if names := _dropped(family, below, layer):
            above |= {family: {name: one for name, one in _table(above, family).items() if one is not False}}
            kept = _prune(kept, family, names)
    # A list that this layer emptied, not one that was empty: that is a mistake, which the checks name.
    for family in ("jobs", "manifests"):
        if empty := _emptied(family, below, kept) - _table(above, family).keys():
            kept[family] = _but(_table(kept, family), empty)
    return _merged(kept, above)


def _emptied(family: str, before: Tables, after: Tables) -> set[str]:
    """Return the names of jobs or joint manifests that have nothing left to read."""
    old = _table(before, family)
    return {
        name
        for name, table in _table(after, family).items()
        if _of(table, "datasets") == [] and _of(old[name], "datasets") != []
    }


def _prune(tables: Tables, family: str, names: set[str]) -> Tables:
    """Return tables without some of a family, which leave the lists that name them too."""
    kept = tables | {family: _but(_table(tables, family), names)}
    for users, key in LISTS.get(family, ()):
        kept[users] = {name: _unlisted(table, key, names) for name, table in _table(kept, users).items()}
    return kept


def _but(tables: Tables, names: set[str]) -> Tables:
    """Return tables without some of them."""
    return {name: table for name, table in tables.items() if name not in names}


def _dropped(family: str, below: Tables, layer: Layer) -> set[str]:
    """Return the names of a family that a layer drops. Raises CatalogError for one that is not there."""
    known, own = _table(below, family), layer.tables.get(family)
    if own is False:
        return set(known)
    names = {name for name, table in _table(layer.tables, family).items() if table is False}
    for name in sorted(names - known.keys()):  # a misspelt name would leave the dataset in, and hours of work with it
        raise CatalogError(
            f"{layer.name}: [{family}]: {name} = false drops nothing: no {FAMILIES[family]}"
            f' "{name}"{near(name, known)} in what the file extends.'
        )
    return names


def _unlisted(table: object, key: str, names: set[str]) -> object:
    """Return a table without some names in one of its lists."""
    listed = _of(table, key)
    if not isinstance(table, dict) or not isinstance(listed, list):
        return table
    return table | {key: [name for name in listed if name not in names]}


def _merged(below: Mapping[str, object], above: Mapping[str, object], path: tuple[str, ...] = ()) -> Tables:
    """Return two tables as one, key by key; new keys come last, but new encoders first: the first is the default."""
    new = {key: value for key, value in above.items() if key not in below}
    merged: Tables = dict(new) if path == ("encoders",) else {}
    for key, value in below.items():
        if key not in above:
            merged[key] = value
        # `false` for any other value is a value, such as that of `per_split`
        elif above[key] is False and isinstance(value, dict):
            continue
        elif isinstance(value, dict) and isinstance(above[key], dict):
            own = _table(above, key)
            another = len(path) == 1 and _is_another(path[0], value, own)
            merged[key] = own if another else _merged(value, own, (*path, key))
        else:
            merged[key] = above[key]
    return merged | new


def _is_another(family: str, below: Mapping[str, object], above: Mapping[str, object]) -> bool:
    """Say whether a table of the same name is of another corpus or kind, whose keys would not fit."""
    key, default = WHAT_IT_IS.get(family, ("", None))
    return key in above and above[key] != below.get(key, default)


def _table(tables: Mapping[str, object], key: str) -> Tables:
    """Return a table of tables; an empty one where there is none, or something else is there."""
    table = tables.get(key)
    return table if isinstance(table, dict) else {}


def _of(table: object, key: str) -> object:
    return table.get(key) if isinstance(table, dict) else None
