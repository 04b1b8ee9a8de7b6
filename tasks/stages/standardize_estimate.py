"""What standardizing would write: standard audio and tables of the recordings that are new or changed."""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator

import msgspec

from earmark.amounts import Amount, about, exact, ratio
from earmark.audio.table import read_whole_rows
from earmark.catalog.project import Project
from earmark.disk.files import may_share_blocks
from earmark.disk.inside import file_of
from earmark.disk.receipts import Receipt
from earmark.disk.shards import read_rows
from earmark.estimate.batch import RECORDINGS_SAMPLED, Batch, sampler
from earmark.estimate.probes import WAV_HEADER_BYTES
from earmark.rates import RATE_HZ, WAV_BYTES_PER_S
from tasks.engine.estimates import NO_SHARD, RECEIPT_BYTES, SHARDS_SAMPLED, Expected, Item, Step, count, hours
from tasks.engine.judge import receipt_of
from tasks.engine.speed import Speed, Timed, finished, part_receipts
from tasks.engine.units import Unit
from tasks.stages import standard_files
from tasks.stages.standardize import NAME, VERSION, ShardInputs, StandardizedShard, journal_path, policy_of

SHARDS_READ = 64  # shards whose tables are read row by row; the rest get the mean of these, or what receipts count
TABLE_ROW = 515  # bytes of a line, as written on the demo

Shares = dict[str, float]  # by shard, the share of its bytes that would be decoded, 0 to 1
Rates = tuple[Amount, Amount]  # seconds, and bytes of standard audio, in a byte of source


def _timed(project: Project, dataset: str) -> Iterator[Timed]:
    """Yield the seconds of audio that each shard's standardization decoded."""
    for receipt in finished(part_receipts(project, NAME, dataset), StandardizedShard, VERSION):
        counts = receipt.counts
        yield counts["samples"] / RATE_HZ * counts["decoded"] / max(1, counts["files"]), receipt.seconds


SPEED = Speed("s of audio a second", 100.0, _timed)


def estimate(expected: Expected, step: Step) -> None:
    """Add the standard audio and tables of what would be decoded, and leave that in `todo`."""
    if step.state not in "RU":
        return
    late = [unit.part for unit, verdict in step.shards if verdict.state == "R"]
    chosen = {unit.part for unit, _ in step.shards}
    shares = _shares(expected, late)
    if late:
        expected.todo |= _batches(expected, step, shares)
    if expected.new != Batch() and chosen == set(expected.listed):
        expected.todo[NO_SHARD] = expected.new
        step.inputs += expected.new_words
    batch = functools.reduce(Batch.__add__, expected.todo.values(), Batch())
    if not batch.files.high:
        return
    _add_audio(expected, step, batch, shares)
    _add_tables(expected, step, late, len(chosen))
    speed, words = SPEED.seconds_per_unit(expected.query, expected.dataset)
    step.seconds = batch.seconds * speed
    step.inputs += [f"{hours(batch.seconds)} of {count(batch.files.likely)} recordings", words]


def _add_audio(expected: Expected, step: Step, batch: Batch, shares: Shares) -> None:
    folder = expected.project.standard / expected.dataset
    receipts = {shard: standardized(expected, shard) for shard in shares}
    replaced = sum(
        receipt.counts["standard_bytes"] * shares[shard] for shard, receipt in receipts.items() if receipt is not None
    )
    if expected.form != "none":
        shared = batch.standard.low if _may_share(expected) else 0.0
        step.items.append(Item("standard audio", folder, batch.standard, batch.files.likely, replaced, shared=shared))
    elif replaced:
        step.items.append(Item("standard audio", folder, Amount(), 0, replaced))


def _add_tables(expected: Expected, step: Step, late: list[str], n_chosen: int) -> None:
    receipts = [receipt for shard in late if (receipt := standardized(expected, shard)) is not None]
    rows = expected.todo.get(NO_SHARD, Batch()).files + exact(sum(expected.listed[shard].files for shard in late))
    before = sum(receipt.outputs.table.size for receipt in receipts)
    journal = TABLE_ROW * min(rows.likely, expected.table.shard_files)
    new_shards = expected.new_shards()
    shards = len(late) + new_shards
    size = rows * TABLE_ROW + exact(shards * 2 * RECEIPT_BYTES)
    step.items.append(Item("tables", expected.project.cache / "audio", size, 2 * shards, before, journal))
    step.run = max(step.run, round(shards))
    step.total = max(step.total, round(n_chosen + new_shards))


def _may_share(expected: Expected) -> bool:
    """Say whether standard audio may be reflinks to sources that are canonical already, which take no space."""
    if not may_share_blocks(expected.project.root(expected.dataset), expected.project.standard):
        return False
    suffix = f".{expected.form}"
    return expected.copied or any(row.path.lower().endswith(suffix) for row in expected.sample())


def standardized(expected: Expected, shard: str) -> Receipt[StandardizedShard] | None:
    """Return a shard's receipt; None without one, or of another version, which may count other things."""
    receipt = receipt_of(expected.project, Unit(NAME, expected.dataset, shard), StandardizedShard)
    return receipt if receipt is not None and receipt.version == VERSION else None


def same_audio(expected: Expected, shard: str) -> bool:
    """Say whether a shard's audio hashes stay as they are, because only the format of standard files differs."""
    receipt = standardized(expected, shard)
    if receipt is None:
        return False
    made_from, policy = receipt.made_from(ShardInputs), policy_of(expected.project, expected.dataset)
    same_policy = msgspec.structs.replace(made_from.policy, format=policy.format) == policy
    return same_policy and made_from.audio == expected.listed[shard].audio


def _shares(expected: Expected, late: list[str]) -> Shares:
    """Return `_share` of shards; of thousands, of some, and their mean for the rest."""
    shares: Shares = {}
    read = 0
    for shard in late:
        if expected.project.table(expected.dataset, shard).exists():
            read += 1
        if read <= SHARDS_READ:
            shares[shard] = _share(expected, shard)
    mean = sum(shares.values()) / max(1, len(shares))
    return {shard: shares.get(shard, mean) for shard in late}


def _share(expected: Expected, shard: str) -> float:
    """Return the share of a shard's bytes that standardize would decode: what its table or journal lacks."""
    project, dataset = expected.project, expected.dataset
    policy = policy_of(project, dataset)
    receipt = standardized(expected, shard)
    if receipt is not None and receipt.made_from(ShardInputs).policy != policy:
        return 1.0
    paths = (project.table(dataset, shard), journal_path(project, dataset, shard))
    rows = (row for path in paths for row in read_whole_rows(path))
    known = {row.path: row for row in rows if row.policy == policy}
    if not known:
        return 1.0
    size = missing = 0
    with contextlib.suppress(OSError, ValueError):
        for row in read_rows(project.shard_list(dataset, shard)):
            before = known.get(row.path)
            size += row.size
            # without `thorough`, before a run, standard files are not stat'ed: those of 10 million would take minutes
            kept = before is not None and before.source_hash == row.source_hash
            if kept and expected.query.run.thorough and before is not None:
                kept = standard_files.is_whole(project, dataset, before)
            missing += 0 if kept else row.size
    return missing / size if size else 1.0


def _batches(expected: Expected, step: Step, shares: Shares) -> dict[str, Batch]:
    """Return the recordings to be decoded of each shard."""
    measured = _measured_rates(expected)
    (seconds, standard), words = measured if measured is not None else _probed_rates(expected, list(shares))
    step.inputs.append(words)
    return {shard: _batch(expected, shard, share, seconds, standard) for shard, share in shares.items()}


def _batch(expected: Expected, shard: str, share: float, seconds: Amount, standard: Amount) -> Batch:
    listed, receipt = expected.listed[shard], standardized(expected, shard)
    files, size = exact(listed.files * share), exact(share * listed.size_bytes)
    length = size * seconds
    if receipt is not None and receipt.counts["files"]:  # decoded before, so its length is known
        length = exact(receipt.counts["samples"] / RATE_HZ * share)
    audio = size * standard
    if expected.form == "wav":
        audio = length * WAV_BYTES_PER_S + files * WAV_HEADER_BYTES
    return Batch(files, size, length, audio)


def _measured_rates(expected: Expected) -> tuple[Rates, str] | None:
    """Return rates from this dataset's finished shards, and in words where they are from; None where none is."""
    policy = policy_of(expected.project, expected.dataset)
    sizes, seconds, standard = list[float](), list[float](), list[float]()
    for shard, listed in sorted(expected.listed.items()):
        receipt = standardized(expected, shard)
        if receipt is not None and receipt.made_from(ShardInputs).policy == policy and listed.size_bytes:
            sizes.append(listed.size_bytes)
            seconds.append(receipt.counts["samples"] / RATE_HZ)
            standard.append(receipt.counts["standard_bytes"])
    if not sizes:
        return None
    first, second = (ratio(sizes, values, len(expected.listed)) for values in (seconds, standard))
    if len(sizes) == 1:
        first, second = about(first.likely, 1.2), about(second.likely, 1.2)
    return (first, second), f"measured on {len(sizes):,} shards of {expected.dataset}"


def _probed_rates(expected: Expected, late: list[str]) -> tuple[Rates, str]:
    """Return rates from headers of a sample of what some shards list, and in words where they are from."""
    random_ = sampler()
    chosen = random_.sample(sorted(late), min(SHARDS_SAMPLED, len(late)))
    rows = [(shard, row) for shard in chosen for row in expected.rows(shard)]
    picked = random_.sample(rows, min(RECORDINGS_SAMPLED, len(rows)))
    root = expected.project.root(expected.dataset)
    in_file = Counter((shard, file_of(row.path)) for shard, row in rows)  # recordings of one file share its bytes
    probes = expected.prober.probe(
        [(root / row.path, row.size / in_file[shard, file_of(row.path)]) for shard, row in picked]
    )
    population = sum(expected.listed[shard].files for shard in late)
    # a few headers without a length (one in twenty at most) do not make the rest a mere sample
    everything = len(picked) == population <= len(probes.sounds) * 1.05
    example = picked[0][1].path if picked else ""
    rates = expected.prober.rates(probes, len(probes.sounds) if everything else population, example)
    if not probes.sounds:
        return rates, f"no measurement yet: assumed {1 / rates[0].likely:,.0f} B/s of source"
    n_recordings = len(probes.sounds) if everything else population
    words = f"headers of {len(probes.sounds):,} of {count(n_recordings)} recordings"
    if expected.form == "flac" and probes.flac_rates:
        rate = sum(probes.flac_rates) / len(probes.flac_rates)
        words += f", {len(probes.flac_rates):,} excerpts compressed to {rate / 1000:.1f} kB/s"
    return rates, words
