"""Comparisons over lists: a training list out of several manifests, and what lies on the disk."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bulk import remove
from inputs import CHECKOUT, SEED, Collection, write_noise
from peers import HERE, Peers, missing
from rounds import Comparison, Side, call, measure, rows_of, shell

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}  # of the rows, by dataset
ROWS_A_SPEAKER = 40
WORDS = 4_000  # distinct ones in the texts
WITHOUT_TEXT, TOO_SHORT, TOO_LONG = 0.02, 0.01, 0.02  # shares of the rows
JOB = """
[jobs.list]
datasets = ["a", "b", "c"]
labels = ["text"]
min_duration = 0.3
max_duration = 35.0
split = "group"
"""
WAYS = {
    "polars": ("Polars", "`scan_ndjson`, filter, `write_ndjson` a split, `unique` as the check; 2 threads, in memory"),
    "pandas": ("pandas", "`read_json(lines=True)`, a mask, `to_json` a split, `duplicated` as the check; in memory"),
    "lhotse": (
        "Lhotse",
        "`SupervisionSet.from_jsonl_lazy`, `filter`, `open_writer`, sets as the check (supervisions, no cuts)",
    ),
    "datasets": ("datasets", '`load_dataset("json")`, `filter` by batches, `to_json` a split, sets as the check'),
}

FOLDERS, BELOW = 20, 50  # datasets, and the folders in each
AUDIO_OF_TEN = 9  # of ten files, this many are .flac, the rest .txt
BY_PATTERN = (
    """for d in data/*/; do find "$d" -type f -name '*.flac' | wc -l; find "$d" -type f -name '*.txt' | wc -l;"""
    """ du -sb "$d"; stat -c %s "$d"/*.tar.gz; done > counted"""
)
ONE_LISTING = (
    r"""find data -type f -printf '%P\t%s\n' | awk -F'\t' '{ split($1, p, "/");"""
    r""" n = match($1, /\.(flac|txt|tar\.gz)$/); k = p[1] " " substr($1, n); c[k]++; s[k] += $2 }"""
    r""" END { for (k in c) print k, c[k], s[k] }' | sort > counted"""
)


def job(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """Manifests to train, dev and test: earmark against Lhotse, datasets, pandas and Polars."""
    collection = Collection(home / "job")
    _write_datasets(collection)
    ours = _write_manifests(collection, count)
    theirs = [_as_supervisions(path) for path in ours]
    sides = [
        Side(
            "earmark",
            "`doit job:list`: two passes over the rows, none of them kept; splits compared before anything is written;"
            " summary by split, dataset, speaker, language and label; files synced and sealed; start-up included",
            lambda: collection.doit("job:list") and None,
            partial(collection.forget, "manifests/jobs", "cache/receipts/job"),
        )
    ]
    setting = (
        f"{count:,} rows of three datasets, {sum(path.stat().st_size for path in ours) / 1e6:.0f} MB of JSONL; rows"
        " with text and of 0.3 to 35 s, by speaker 90/5/5; no speaker and no audio hash in two splits"
    )
    comparison = Comparison("6. a training list", setting)
    targets = []
    for way, (name, what) in WAYS.items():
        python, target = peers.python(way), home / f"list-{way}"
        if python is None:
            comparison.skipped.append(missing(name))
            continue
        command = [python, HERE / "peer_lists.py", way, target, *(theirs if way == "lhotse" else ours)]
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "hub"), "POLARS_MAX_THREADS": "2"}
        run = partial(call, command, home, offline)
        sides.append(Side(name, what, lambda run=run: run() and None, partial(remove, target)))
        targets.append(target)
    comparison.rows = rows_of(measure(sides, rounds))
    told = json.loads((collection.home / "manifests" / "jobs" / "list" / "summary.json").read_bytes())
    made = [told["splits"], *(json.loads((target / "counts.json").read_bytes()) for target in targets)]
    if len({sum(part["rows"] for part in splits.values()) for splits in made}) > 1:
        raise SystemExit(f"the sides took different rows: {made}")
    comparison.notes += [
        f"All sides took the same {told['rows']:,} rows; which speaker goes where depends on the hash that each uses.",
        "The receipts are those of a run over one short recording a dataset, with the manifests laid in their place:"
        " looking whether 200,000 standard files still lie there is not part of earmark's time.",
        "datasets loads without a cache, as the first time. Lhotse reads the same rows in its own form, made before.",
    ]
    return comparison


def _write_datasets(collection: Collection) -> None:
    """Write a catalog of three datasets with one recording each, and run them up to their manifests."""
    tables = "".join(
        f'[datasets.{name}]\ncorpus = "mls"\nroot = "mls"\nper_split = false\ndisjoint = ["speaker_id"]\n\n'
        for name in SHARES
    )
    for name in SHARES:
        write_noise(collection.home / "data" / name / "mls", range(1), 0.5)
    encoder = '[encoders.bench]\nmodel = "model"\n'
    (collection.home / "datasets.toml").write_text(encoder + tables + JOB, "utf-8")
    collection.doit("manifest")


def _write_manifests(collection: Collection, count: int) -> list[Path]:
    """Lay synthetic manifests of `count` rows in place of those made, and name them in their receipts."""
    from earmark.catalog.project import open_project
    from earmark.disk.receipts import SealedFile, publish_receipt, read_receipt
    from earmark.training.manifest_row import dump_row
    from tasks.stages.manifest import ManifestFiles

    project = open_project(collection.home / "datasets.toml")
    paths = []
    for name, share in SHARES.items():
        path, where = project.manifests / f"{name}.jsonl", project.receipt("manifest", name)
        receipt = read_receipt(where, ManifestFiles)
        if receipt is None:
            raise SystemExit(f"manifest:{name} left no receipt")
        with path.open("wb") as file:
            file.writelines(map(dump_row, _rows(name, round(count * share))))
        sealed = SealedFile(project.relative(path), path.stat().st_size, project.memo.hash_file(path))
        publish_receipt(where, replace(receipt, outputs=ManifestFiles({path.name: sealed})), project.scratch)
        paths.append(path)
    return paths


def _rows(dataset: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield manifest rows, no two of the same sound, each speaker in one dataset."""
    random = np.random.default_rng([SEED, ord(dataset)])
    words = ["".join(map(chr, random.integers(ord("a"), ord("z") + 1, n))) for n in random.integers(2, 10, WORDS)]
    lengths_s, kinds = random.uniform(1.0, 30.0, count).round(4), random.random(count)
    for number in range(count):
        kind, speaker = kinds[number], f"{dataset}{number // ROWS_A_SPEAKER:05d}"
        name, seconds = f"{speaker}-{number:07d}", float(lengths_s[number])
        row = {"id": name, "audio_path": f"data/standard/{dataset}/{speaker}/{name}.flac"}
        row |= {"audio_hash": random.bytes(16).hex(), "sample_rate": 16_000, "dataset": dataset}
        if kind < TOO_SHORT:
            seconds = 0.1
        elif kind < TOO_SHORT + TOO_LONG:
            seconds += 40.0
        row |= {"duration": seconds, "speaker_id": speaker, "language": "en"}
        if kind < 1 - WITHOUT_TEXT:
            row["text"] = " ".join(words[at] for at in random.integers(0, WORDS, 1 + int(min(seconds, 35.0))))
        yield row


def _as_supervisions(manifest: Path) -> Path:
    """Write a manifest's rows as Lhotse's supervisions."""
    path = manifest.with_name(f"{manifest.stem}-supervisions.jsonl")
    with manifest.open("rb") as rows, path.open("w", encoding="utf-8") as file:
        for row in map(json.loads, rows):
            found = {"id": row["id"], "recording_id": row["id"], "start": 0.0, "duration": row["duration"]}
            found |= {"channel": 0, "language": row["language"], "speaker": row["speaker_id"]}
            found |= {"text": row["text"]} if "text" in row else {}
            custom = {name: row[name] for name in ("audio_path", "audio_hash", "sample_rate", "dataset")}
            file.write(json.dumps(found | {"custom": custom}, ensure_ascii=False) + "\n")
    return path


def audit(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """What lies on the disk: earmark against find, wc and du."""
    collection, each = Collection(home / "audit"), count // FOLDERS
    _write_trees(collection, each)

    def look(*options: str) -> str:
        env = {"EARMARK_CATALOG": str(collection.home / "datasets.toml")}
        return call([sys.executable, "-m", "doit", "audit", *options], CHECKOUT, env)

    sides = [
        Side(
            "earmark",
            "`doit audit`: each tree against its published counts, each archive's state and what deleting it would"
            " free, what is unfinished, unreadable or claimed by nobody; start-up included",
            lambda: look() and None,
        ),
        Side(
            "find, wc, du",
            "in each folder `find -type f -name ... | wc -l` for both patterns, `du -sb`, `stat` of the archive",
            partial(shell, BY_PATTERN, collection.home),
        ),
        Side(
            "find once, awk",
            "one `find -printf` over all, added up by `awk`: what an expert would type",
            partial(shell, ONE_LISTING, collection.home),
        ),
    ]
    setting = (
        f"{each * FOLDERS:,} files in {FOLDERS} datasets of {BELOW} folders, an archive in each; never seen before"
    )
    timings = measure(sides, rounds)
    report = json.loads(look("--json"))
    wrong = [row for row in report["corpora"] if row["missing"] or row["n_files"] != each or not row["archives"]]
    if wrong or report["unclaimed_archives"] or report["unclaimed_folders"]:
        raise SystemExit(f"audit says: {wrong or report}")
    sizes = [int(line.split()[3]) for line in (collection.home / "counted").read_text("utf-8").splitlines()]
    if sum(sizes) != report["totals"]["raw_audio"] + report["totals"]["archives"]:
        raise SystemExit(f"{sum(sizes):,} bytes by find, and audit says {report['totals']}")
    notes = [
        "The bytes of earmark and find agree. The listing is in the page cache for all sides.",
        "The shell says what lies there; whether an archive is proved to be extracted, it cannot say.",
    ]
    return Comparison("7. which archives may go", setting, rows_of(timings), notes)


def _write_trees(collection: Collection, each: int) -> None:
    """Write a catalog of datasets with their published counts, their trees and an archive in each."""
    audio = [number for number in range(each) if number % 10 < AUDIO_OF_TEN]
    tables = ['[encoders.bench]\nmodel = "model"\n']
    for at in range(FOLDERS):
        folder = collection.home / "data" / f"d{at:02d}"
        for below in range(BELOW):
            (folder / "tree" / f"{below:03d}").mkdir(parents=True)
        for number in range(each):
            suffix = "flac" if number % 10 < AUDIO_OF_TEN else "txt"
            path = folder / "tree" / f"{number % BELOW:03d}" / f"recording-{number:06d}.{suffix}"
            path.write_bytes(bytes(number % 200))
        (folder / f"d{at:02d}.tar.gz").write_bytes(bytes(1000 + at))
        expect = f'{{ files = {{ "*.flac" = {len(audio)}, "*.txt" = {each - len(audio)} }} }}'
        tables.append(
            f'[datasets.d{at:02d}]\ncorpus = "mls"\nroot = "tree"\nexpect = {expect}\n'
            f'archives = [{{ file = "d{at:02d}.tar.gz" }}]\n'
        )
    (collection.home / "datasets.toml").write_text("\n".join(tables), "utf-8")
