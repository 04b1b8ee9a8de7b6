"""Run in a peer's environment: a training list from manifests, as a user of that library would write it.

Usage: python peer_lists.py {datasets,lhotse,pandas,polars} TARGET MANIFEST ...

Rows with text and of 0.3 to 35 s go to TARGET/{train,dev,test}.jsonl by speaker, 90/5/5; then it is checked that no
speaker and no audio hash stands in two splits. Rows and hours of each split go to TARGET/counts.json. The manifests are
earmark's, for Lhotse the same rows as supervisions in its own form.
"""

import json
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path

SPLITS = ("train", "dev", "test")
SHORTEST_S, LONGEST_S = 0.3, 35.0
DEV, TEST = 5, 5  # per cent of the speakers
COMPARED = ("speaker_id", "audio_hash")

Counts = dict[str, dict[str, float]]


def split_of(speaker: str) -> str:
    """Return the split of a speaker."""
    share = zlib.crc32(speaker.encode()) % 100
    return "test" if share < TEST else "dev" if share < TEST + DEV else "train"


def require_apart(sets: Iterable[Mapping[str, set[str]]]) -> None:
    """Fail where two splits share a speaker or a hash; `sets` are what each split holds, by column."""
    for one, other in combinations(sets, 2):
        for column in COMPARED:
            if not one[column].isdisjoint(other[column]):
                raise SystemExit(f"two splits share a {column}")


def with_datasets(target: Path, manifests: list[str]) -> Counts:
    """Load into Arrow, filter by batches, one more filter a split, to_json."""
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.load_dataset("json", data_files=manifests, split="train", cache_dir=str(target / "cache"))
    rows = rows.filter(
        lambda texts, lengths: [
            text is not None and SHORTEST_S <= length <= LONGEST_S for text, length in zip(texts, lengths, strict=True)
        ],
        batched=True,
        input_columns=["text", "duration"],
    )
    counts, sets = {}, []
    for split in SPLITS:
        part = rows.filter(
            lambda speakers, wanted=split: [split_of(speaker) == wanted for speaker in speakers],
            batched=True,
            input_columns=["speaker_id"],
        )
        part.to_json(target / f"{split}.jsonl")
        sets.append({column: set(part[column]) for column in COMPARED})
        counts[split] = {"rows": len(part), "hours": sum(part["duration"]) / 3600}
    require_apart(sets)
    return counts


def with_lhotse(target: Path, manifests: list[str]) -> Counts:
    """Filter lazily and write in one pass; supervisions alone, which is less than cuts."""
    from lhotse import SupervisionSet

    counts = {split: {"rows": 0, "hours": 0.0} for split in SPLITS}
    sets: dict[str, dict[str, set[str]]] = {split: {column: set() for column in COMPARED} for split in SPLITS}
    writers = {split: SupervisionSet.open_writer(target / f"{split}.jsonl") for split in SPLITS}
    for manifest in manifests:
        rows = SupervisionSet.from_jsonl_lazy(manifest)
        for row in rows.filter(lambda row: row.text is not None and SHORTEST_S <= row.duration <= LONGEST_S):
            split = split_of(row.speaker)
            writers[split].write(row)
            counts[split]["rows"] += 1
            counts[split]["hours"] += row.duration / 3600
            sets[split]["speaker_id"].add(row.speaker)
            sets[split]["audio_hash"].add(row.custom["audio_hash"])
    for writer in writers.values():
        writer.close()
    require_apart(sets.values())
    return counts


def with_pandas(target: Path, manifests: list[str]) -> Counts:
    """All rows in memory: read_json, a mask, to_json a split."""
    import pandas as pd

    rows = pd.concat([pd.read_json(path, lines=True, dtype=False, convert_dates=False) for path in manifests])
    rows = rows[rows["text"].notna() & rows["duration"].between(SHORTEST_S, LONGEST_S)]
    rows = rows.assign(split=rows["speaker_id"].map(split_of))
    counts = {}
    for split in SPLITS:
        part = rows[rows["split"] == split]
        part.to_json(target / f"{split}.jsonl", orient="records", lines=True, force_ascii=False)
        counts[split] = {"rows": len(part), "hours": float(part["duration"].sum()) / 3600}
    for column in COMPARED:
        if (rows[[column, "split"]].drop_duplicates()[column]).duplicated().any():
            raise SystemExit(f"two splits share a {column}")
    return counts


def with_polars(target: Path, manifests: list[str]) -> Counts:
    """All rows in memory: scan_ndjson, one filter, write_ndjson a split; as many threads as there are cores."""
    import polars as pl

    share = pl.col("speaker_id").hash(seed=0) % 100
    split_is = pl.when(share < TEST).then(pl.lit("test")).when(share < TEST + DEV).then(pl.lit("dev"))
    rows = (
        pl.scan_ndjson(manifests)
        .filter(pl.col("text").is_not_null() & pl.col("duration").is_between(SHORTEST_S, LONGEST_S))
        .with_columns(split=split_is.otherwise(pl.lit("train")))
        .collect()
    )
    counts = {}
    for split in SPLITS:
        part = rows.filter(pl.col("split") == split)
        part.write_ndjson(target / f"{split}.jsonl")
        counts[split] = {"rows": len(part), "hours": part["duration"].sum() / 3600}
    for column in COMPARED:
        if rows.select(column, "split").unique().select(pl.col(column).is_duplicated().any()).item():
            raise SystemExit(f"two splits share a {column}")
    return counts


WAYS: dict[str, Callable[[Path, list[str]], Counts]] = {
    "datasets": with_datasets,
    "lhotse": with_lhotse,
    "pandas": with_pandas,
    "polars": with_polars,
}


def main(way: str, folder: str, manifests: list[str]) -> None:
    """Write the lists and what they hold."""
    target = Path(folder)
    target.mkdir(parents=True)
    (target / "counts.json").write_text(json.dumps(WAYS[way](target, manifests)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
