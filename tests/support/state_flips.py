"""Damage to the state of a small finished collection, and what the next runs make of it.

A trial damages one thing, runs everything again and compares what a user has with the reference: manifests, feature
manifests, jobs, the sound that rows lead to and the frames that they name.
"""

import contextlib
import io
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import soundfile

from support.archive_samples import pack
from support.collection import Collection, speech
from support.runs import open_run
from tasks.engine.judge import listed_shards, perform
from tasks.engine.stage import Run
from tasks.engine.units import Unit
from tasks.stages import encoder_packs
from tasks.stages.combined import combined_tasks
from tasks.stages.registry import STAGES
from tasks.stages.verify import verify

PLACES = ("cache", "manifests", "data/standard")
KINDS = ("flip", "flip", "flip", "cut", "delete", "swap", "edit", "edit")
NOT_STATE = {"run.lock"}


def write_collection(home: Path) -> Collection:
    """Write two datasets, one out of an archive, with sounds in common; a joint manifest and a job with features."""
    made = Collection(home, standard={"format": "wav"}, encoder={})
    made.manifests["both"] = {"datasets": ["books", "talks"]}
    made.jobs["asr"] = {
        "datasets": ["books", "talks"], "labels": ["text"], "features": ["small"], "split": ["official", "group"],
    }  # fmt: skip
    files = dict(_chapter("train-clean-100", "1-10", range(4))) | dict(_chapter("dev-clean", "2-20", range(10, 14)))
    made.add_dataset("books", shard_files=4, archives=[{"file": "books.tar"}])
    (home / "data" / "books").mkdir(parents=True)
    (home / "data" / "books" / "books.tar").write_bytes(pack({f"LibriSpeech/{name}": files[name] for name in files}))
    root = made.add_dataset("talks", max_bad=0.5)
    for name, data in _chapter("train-clean-100", "3-30", [0, 20, 21, None]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    catalog = (home / "datasets.toml").read_text("utf-8")
    mel = '[encoders.small]\nkind = "mel"\n'
    (home / "datasets.toml").write_text(re.sub(r"\[encoders.small\]\n(.+\n)+?(?=\[)", mel, catalog), "utf-8")
    return made


def _chapter(split: str, chapter: str, seeds) -> Iterator[tuple[str, bytes]]:
    """Yield a chapter in LibriSpeech's layout; a seed of None is a recording that is no sound."""
    folder = f"{split}/{chapter.replace('-', '/')}"
    for number, seed in enumerate(seeds):
        sound = io.BytesIO()
        if seed is not None:
            soundfile.write(sound, speech(0.2, seed), 16_000, format="FLAC", subtype="PCM_16")
        yield f"{folder}/{chapter}-{number:04d}.flac", sound.getvalue()
    lines = "".join(f"{chapter}-{number:04d} WORD {number}\n" for number in range(len(seeds)))
    yield f"{folder}/{chapter}.trans.txt", lines.encode()


def finish(run: Run) -> list[str]:
    """Build whatever is not current, as `doit features job manifest` does; return the lines of failures."""
    failures = []
    for dataset in run.project.catalog.by_priority():
        failed = _finish_dataset(run, dataset)
        failures += failed
    if not failures:
        for task in combined_tasks(run.project).values():
            if failure := perform(run, task.rule, task.unit):
                failures.append(str(failure.message))
    return failures


def _finish_dataset(run: Run, dataset: str) -> list[str]:
    for stage in STAGES:
        shards = listed_shards(run, dataset) if stage.shard else []
        for unit in [*(Unit(stage.name, dataset, shard) for shard in shards), Unit(stage.name, dataset)]:
            if failure := perform(run, stage.rule(unit), unit):
                return [str(failure.message)]
    return []


def run_all(home: Path) -> list[str]:
    """Run everything of a collection in this process; return the lines of failures."""
    run = open_run(home / "datasets.toml")
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return finish(run)
    finally:
        _close(run)


def _close(run: Run) -> None:
    """Close what a process closes by its end."""
    run.pool.stop()
    run.project.memo.close()
    encoder_packs.open_index.cache_clear()


def verify_all(home: Path) -> tuple[int, str]:
    """Verify a collection in this process; return the number of damaged files, and what was printed."""
    run, out = open_run(home / "datasets.toml"), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            return verify(run, run.project.catalog.by_priority()), out.getvalue()
    finally:
        _close(run)


def products(home: Path) -> dict[str, bytes]:
    """Return what a user has: products by path, the sound of each row, the frames of each row of a feature manifest."""
    found = {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.glob("manifests/**/*.json*"))
        if ".edited" not in path.name
    }
    for name in [name for name in found if name.startswith("manifests/") and name.count("/") == 1]:
        for line in found[name].splitlines():
            path = orjson.loads(line)["audio_path"]
            found[path] = (home / path).read_bytes()
    for name in [name for name in found if name.startswith("manifests/features/")]:
        for line in found[name].splitlines():
            row = orjson.loads(line)
            found[f"{name} {row['audio_hash']}"] = _frames(home, row)
    return found


def _frames(home: Path, row: dict) -> bytes:
    import zarr

    (pack_path,) = home.glob(f"cache/features/small-*/packs/{row['pack']}")
    group = zarr.open_group(str(pack_path), mode="r")
    start, stop = (int(edge) for edge in group["offsets"][row["row"] : row["row"] + 2])
    return group["audio_hash"][row["row"]].tobytes() + group["frames"][start:stop].tobytes()


@dataclass
class Damage:
    """One thing that is done to one file, or to two of a kind; `quiet` puts size-preserving edits' mtimes back."""

    kind: str
    path: Path
    other: Path | None = None
    quiet: bool = False
    seed: int = 0

    def words(self, home: Path) -> str:
        other = f" <-> {self.other.relative_to(home)}" if self.other else ""
        return (
            f"{self.seed}: {self.kind} {self.path.relative_to(home)}{other}{' (mtime put back)' if self.quiet else ''}"
        )

    def apply(self) -> None:
        status, rng = self.path.stat(), random.Random(self.seed)
        if self.kind == "delete":
            self.path.unlink()
        elif self.kind == "swap":
            assert self.other is not None
            aside = self.path.with_name("aside")
            self.path.rename(aside)
            self.other.rename(self.path)
            aside.rename(self.other)
        else:
            data = self.path.read_bytes()
            with self.path.open("r+b") as file:  # in place: the inode stays
                file.truncate(0)
                file.write({"flip": _flipped, "cut": _cut, "edit": _edited}[self.kind](data, rng))
            if self.quiet:
                os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))] if data else data


def _edited(data: bytes, rng: random.Random) -> bytes:
    """Return text with one digit changed, or one line dropped, doubled, or moved."""
    lines = data.split(b"\n")
    what = rng.choice(["digit", "digit", "drop", "double", "move"])
    if what == "digit" or len(lines) < 3:
        digits = [at for at, byte in enumerate(data) if byte in b"0123456789"]
        if not digits:
            return _flipped(data, rng)
        at = rng.choice(digits)
        return data[:at] + str((int(chr(data[at])) + rng.randrange(1, 10)) % 10).encode() + data[at + 1 :]
    at = rng.randrange(len(lines) - 1)
    line = lines.pop(at)
    if what == "double":
        lines[at:at] = [line, line]
    elif what == "move":
        lines.insert(rng.randrange(len(lines)), line)
    return b"\n".join(lines)


def choose(home: Path, seed: int) -> Damage:
    """Return a damage: first the kind of file, so that rare kinds come as often as frequent ones."""
    rng = random.Random(seed)
    by_kind: dict[str, list[Path]] = {}
    for place in PLACES:
        for path in sorted((home / place).rglob("*")):
            if path.is_file() and path.name not in NOT_STATE and "damaged" not in path.parts:
                by_kind.setdefault(_kind_of(path.relative_to(home)), []).append(path)
    _, paths = rng.choice(sorted(by_kind.items()))
    path, what = rng.choice(paths), rng.choice(KINDS)
    others = [other for other in paths if other != path]
    if what == "swap" and not others:
        what = "flip"
    other = rng.choice(others) if what == "swap" else None
    return Damage(what, path, other, quiet=rng.random() < 0.5, seed=seed)


def _kind_of(path: Path) -> str:
    """Return a path with what names one dataset, shard or pack taken out."""
    return re.sub(r"(books|talks)[^/]*|\d{4}|[0-9a-f]{8,}|\d-\d\d", "*", str(path))


def copy_of(home: Path, to: Path) -> Path:
    """Copy a collection, times kept."""
    shutil.copytree(home, to, symlinks=True)
    return to


class Subject:
    """A finished collection below `folder` that is damaged again and again, and put back where it does not heal."""

    def __init__(self, folder: Path) -> None:
        self.home, self._kept = folder / "collection", folder / "kept"
        write_collection(self.home)
        assert run_all(self.home) == []
        self.reference = products(self.home)
        assert verify_all(self.home)[0] == 0
        copy_of(self.home, self._kept)

    def trial(self, seed: int) -> tuple[str, str]:
        """Damage one thing; return how that ended in one word, and what is wrong with it, or ""."""
        damage = choose(self.home, seed)
        damage.apply()
        try:
            outcome, fault = self._ending()
        except Exception as error:  # a traceback is an ending that none may have
            outcome, fault = "crashed", f"{type(error).__name__}: {error}"
        if fault:
            shutil.rmtree(self.home)
            copy_of(self._kept, self.home)
            run_all(self.home)
        return outcome, f"{damage.words(self.home)}: {outcome}: {fault}" if fault else ""

    def _ending(self) -> tuple[str, str]:
        outcome = "healed"
        if failures := run_all(self.home):
            outcome = "refused"
            if again := run_all(self.home):
                found, said = verify_all(self.home)
                if again := run_all(self.home):
                    return outcome, f"for ever: {failures[0]} / {again[0]}"
        elif differ := self._differences():
            outcome = "verified"
            found, said = verify_all(self.home)
            if not found:
                return outcome, f"wrong in silence: {differ}"
            if failures := run_all(self.home):
                return outcome, f"not mended: {failures[0]}"
        if differ := self._differences():
            return outcome, f"wrong in the end: {differ}"
        if verify_all(self.home)[0]:  # what no product showed, such as frames that nobody reads
            outcome += " and verified"
            if failures := run_all(self.home):
                return outcome, f"not mended: {failures[0]}"
            if differ := self._differences():
                return outcome, f"wrong once mended: {differ}"
            found, said = verify_all(self.home)
            return outcome, f"verify still finds: {said}" if found else ""
        return outcome, ""

    def _differences(self) -> list[str]:
        try:
            now = products(self.home)
        except Exception as error:  # products that cannot be read differ
            return [f"{type(error).__name__}: {error}"]
        return sorted(name for name in {*now, *self.reference} if now.get(name) != self.reference.get(name))[:4]
