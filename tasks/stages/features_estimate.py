"""What encoding would write: packs of the recordings that are in none yet, their index and the feature manifests."""

import contextlib
import functools
from collections.abc import Iterator

from earmark.amounts import Amount, about, exact, total
from earmark.audio.table import read_good
from earmark.catalog.project import Project
from earmark.encoders import EncoderForecast, Frames, one_model
from earmark.errors import EarmarkError
from earmark.features.packs import ITEM_BYTES, chunk_frames_of
from earmark.features.sizes import INDEX_ROW_BYTES, pack_bytes
from earmark.rates import RATE_HZ
from tasks.engine.estimates import NO_SHARD, RECEIPT_BYTES, Expected, Item, Step, hours
from tasks.engine.speed import Speed, Timed, finished, part_receipts
from tasks.stages import encoder_packs, features
from tasks.stages.standardize_estimate import SHARDS_READ, same_audio, standardized

FEATURE_ROW = 182  # bytes of a line, as written on the demo
PACK_FILES = 8  # of a Zarr group with its arrays' metadata
WINDOW_S = 30  # the speed of encoders is measured in windows of this length, which is Whisper's


def estimate(expected: Expected, step: Step) -> None:
    """Add packs and feature manifests of each encoder."""
    if step.state not in "RU":
        return
    # current, too: what the stages before it change is encoded after them
    late = {unit.part for unit, verdict in step.shards if verdict.state == "R"}
    for name in expected.project.catalog.encoders_of(expected.dataset):
        _encode(expected, step, name, late)
    if not step.items:
        return
    if step.state == "U":
        step.why = ["the stages before it run first"]
    new_shards = expected.new_shards()
    shards = len(late | (expected.todo.keys() - {NO_SHARD})) + new_shards
    step.run = max(step.run, round(shards))
    step.total = max(step.total, round(len(step.shards) + new_shards))
    step.items.append(Item("receipts", expected.project.cache / "receipts", exact(shards * RECEIPT_BYTES), shards))


def _encode(expected: Expected, step: Step, name: str, late: set[str]) -> None:
    """Add what one encoder writes for the recordings whose audio hash is in no pack of it."""
    project = expected.project
    encoder = project.encoder(name)
    try:
        with one_model(name):
            forecast = encoder.forecast(project.models)
    except EarmarkError as error:  # of this encoder alone: the others, and other datasets, are planned
        step.state, step.why = "E", [str(error)]
        return
    frames = forecast.frames
    if forecast.model_bytes:
        step.items.append(Item("model", project.cache / "models", exact(forecast.model_bytes), 2))
    packs = _shard_packs(expected, step, name, frames, late)
    size_of = functools.partial(
        pack_bytes, n_state=forecast.width, codec=encoder.codec, chunk_frames=chunk_frames_of(frames)
    )
    sizes = [size_of(n_frames, files.likely) for files, n_frames in packs]
    n_packs = float(len(packs))
    if NO_SHARD in expected.todo:
        new, n_new = expected.todo[NO_SHARD], expected.new_shards()
        packs.append((new.files, new.frames(frames)))
        sizes.append(size_of(new.frames(frames), new.files.likely, packs=int(n_new)))
        n_packs += n_new
    if not sizes and step.state != "R":
        return
    if sizes:
        _add_packs(expected, step, name, packs, total(sizes), n_packs)
    _add_feature_manifest(expected, step, name)
    if sizes:
        _add_time(expected, step, name, forecast, packs)


Packs = list[tuple[Amount, Amount]]  # recordings and frames of each pack


def _shard_packs(expected: Expected, step: Step, name: str, frames: Frames, late: set[str]) -> Packs:
    """Return the packs that the listed shards would give."""
    packs: Packs = []
    n_stored = n_known = 0
    any_pack = any((expected.project.cache / "features").glob(f"{name}-*"))
    for unit, verdict in step.shards:
        again = expected.todo.get(unit.part)
        if again is not None and not same_audio(expected, unit.part):  # else: other standard files of the same audio
            packs.append((again.files, again.frames(frames)))
        elif verdict.state == "R" and (len(late) > SHARDS_READ or not any_pack):
            packs.append(_counted(expected, unit.part, frames, stored=any_pack))
        elif verdict.state == "R":
            samples = _samples(expected, unit.part)
            stored = _stored(expected.project, name, set(samples))
            n_frames = sum(frames.count(samples[audio_hash]) for audio_hash in samples.keys() - stored)
            n_stored, n_known = n_stored + len(stored), n_known + len(samples)
            packs += [(exact(len(samples) - len(stored)), exact(n_frames))] if n_frames else []
    if n_known:
        step.stored = f"{n_stored:,} of {n_known:,} recordings are in packs of {name} already"
    return packs


def _add_packs(expected: Expected, step: Step, name: str, packs: Packs, size: Amount, n_packs: float) -> None:
    folder = expected.project.cache / "features"
    step.items.append(Item(f"packs of {name}", folder, size, n_packs * PACK_FILES))
    step.items.append(Item("index", folder, total(files for files, _ in packs) * INDEX_ROW_BYTES, 1))


def _add_feature_manifest(expected: Expected, step: Step, name: str) -> None:
    if step.shards and len(step.shards) < len(expected.listed):
        return  # the user named shards, and the manifest is the whole dataset's
    rows = expected.files_listed + expected.new.files.likely
    target = expected.project.feature_manifest(name, expected.dataset)
    before = target.stat().st_size if target.exists() else 0
    size = about(rows * (FEATURE_ROW + 2 * len(expected.dataset)), 1.3)
    step.items.append(Item("feature manifest", expected.project.manifests, size, 1, before))


def _add_time(expected: Expected, step: Step, name: str, forecast: EncoderForecast, packs: Packs) -> None:
    frames, encoder = forecast.frames, expected.project.encoder(name)
    files, n_frames = total(n_files for n_files, _ in packs), total(n_frames for _, n_frames in packs)
    seconds, words = _speed(name, forecast).seconds_per_unit(expected.query, expected.dataset)
    step.seconds += exact(_windows(files.likely, n_frames.likely, frames)) * seconds
    per_s = forecast.width * ITEM_BYTES[encoder.codec] * frames.per_s / 1000
    assumed = f" ({forecast.assumed})" if forecast.assumed else ""
    step.inputs += [f"{name}: {hours(n_frames * (1 / frames.per_s))} x {per_s:.1f} kB/s{assumed}", words]


def _speed(name: str, forecast: EncoderForecast) -> Speed:
    """Return how the speed of an encoder is measured."""

    def timed(project: Project, dataset: str) -> Iterator[Timed]:
        """Yield about how many windows each shard's encoding took; 0 where its seconds are other encoders', too."""
        for receipt in finished(
            part_receipts(project, features.NAME, dataset), features.EncodedShard, features.VERSION
        ):
            alone = list(receipt.outputs.packs) == [name]
            n_windows = _windows(receipt.counts["encoded"], receipt.counts["frames"], forecast.frames)
            yield n_windows if alone else 0.0, receipt.seconds

    return Speed(f"windows of {WINDOW_S} s a second", forecast.windows_per_s, timed)


def _windows(recordings: float, n_frames: float, frames: Frames) -> float:
    """Return about how many windows some recordings fill: at least one each, and half of the last one is empty."""
    return max(recordings, n_frames / (WINDOW_S * frames.per_s) + recordings / 2)


def _samples(expected: Expected, shard: str) -> dict[str, int]:
    """Return the number of samples by audio hash of a standardized shard; none where its table is damaged."""
    with contextlib.suppress(OSError, ValueError):
        return {row.audio_hash: row.n_samples for row in read_good(expected.project.table(expected.dataset, shard))}
    return {}


def _counted(expected: Expected, shard: str, frames: Frames, *, stored: bool) -> tuple[Amount, Amount]:
    """Return recordings and frames of a shard from its receipt; `stored`: packs may have any of them."""
    receipt = standardized(expected, shard)
    if receipt is None:
        return Amount(), Amount()
    good = receipt.counts["files"] - receipt.counts["bad"]
    n_frames = frames.mean(receipt.counts["samples"] / RATE_HZ, good)
    return exact(good), Amount(0.0 if stored else n_frames, n_frames, n_frames)


def _stored(project: Project, name: str, hashes: set[str]) -> set[str]:
    with contextlib.suppress(EarmarkError):
        return encoder_packs.stored(project, name, hashes) if hashes else set()
    return set()
