"""What becomes of a dataset's recordings: standard audio, manifests and packs, estimated before they are made."""

import contextlib
import functools
import math
from collections import Counter

import msgspec

from earmark.amounts import Amount, about, exact, ratio, total
from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio, read_good, read_whole_rows
from earmark.disk.files import may_share_blocks
from earmark.disk.inside import file_of
from earmark.disk.receipts import Receipt
from earmark.disk.shards import ShardRow, read_rows
from earmark.encoders import Frames
from earmark.errors import EarmarkError
from earmark.estimate.probes import WAV_HEADER_BYTES, assumed_rates
from earmark.features.packs import ITEM_BYTES, chunk_frames_of
from earmark.features.sizes import HELD_BYTES, pack_bytes
from earmark.rates import HOUR_S, RATE_HZ, WAV_BYTES_PER_S
from tasks.engine.judge import receipt_of
from tasks.engine.units import Unit
from tasks.plan.sources import ROWS_SAMPLED, Material
from tasks.plan.speed import encoding_pace, pace, windows
from tasks.plan.steps import RECEIPT_BYTES, Item, Lot, Step, count, hours, sampler
from tasks.stages import features, standardize
from tasks.stages.manifest import ManifestFiles
from tasks.stages.standardize import ShardInputs, StandardizedShard, audio_file, is_whole, journal_path, policy_of

SHARDS_READ = 64  # shards whose tables are read whole; of more, receipts and a mean must do
SHARDS_SAMPLED = 8  # shards whose lists are read for a sample
TABLE_ROW, MANIFEST_ROW, FEATURE_ROW = 515, 440, 182  # bytes of a line, as written on the demo
PACK_FILES = 8

SOME_AUDIO = GoodAudio(  # stands for what is not made yet: a row's size hardly depends on it
    path="",
    source_hash="",
    audio_hash="0" * 32,
    n_samples=123_457,
    source_rate_hz=RATE_HZ,
    source_channels=1,
    decoder="",
    peak=0.0,
    rms=0.0,
    clipped=0.0,
    silence=0.0,
    dc=0.0,
    policy=Policy(),
)


class Outcome:
    """One dataset's stages after scan, in order; `todo` holds what standardize decodes, by shard ("": of none yet)."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.project, self.dataset, self.query = material.project, material.dataset, material.query
        self.table, self.form, self.listed = material.table, material.form, material.listed
        self.todo: dict[str, Lot] = {}
        self._samples: dict[str, list[ShardRow]] = {}

    def standardize(self, step: Step) -> None:
        """Add the standard audio and tables of what is to be decoded."""
        late = [unit.part for unit, verdict in step.shards if verdict.state == "R"]
        wished = {unit.part for unit, _ in step.shards}
        changed = self._shares(late)
        sizes = {shard: changed[shard] * self.listed[shard].size_bytes for shard in late}
        if late:
            for shard, lot in self._lots(sizes, changed, step).items():
                self.todo[shard] = lot
        if self.material.new != Lot() and (wished == set(self.listed) or not self.listed):
            self.todo[""] = self.material.new
            step.inputs += self.material.new_words
        lot = functools.reduce(Lot.__add__, self.todo.values(), Lot())
        if not lot.files.high:
            return
        old = [(shard, self._standardized(shard)) for shard in late]
        replaced = sum(
            receipt.counts["standard_bytes"] * changed[shard] for shard, receipt in old if receipt is not None
        )
        folder = self.project.standard / self.dataset
        if self.form != "none":
            shared = lot.standard.low if self._may_share() else 0.0
            step.items.append(Item("standard audio", folder, lot.standard, lot.files.likely, replaced, shared=shared))
        elif replaced:
            step.items.append(Item("standard audio", folder, Amount(), 0, replaced))
        table_rows = sum(self.listed[shard].files for shard in late)
        rows = self.todo.get("", Lot()).files + exact(table_rows)
        before = sum(receipt.outputs.table.size for _, receipt in old if receipt is not None)
        journal = TABLE_ROW * min(rows.likely, self.table.shard_files)
        shards = len(late) + self._new_shards()
        size = rows * TABLE_ROW + exact(shards * 2 * RECEIPT_BYTES)
        step.items.append(Item("tables", self.project.cache / "audio", size, 2 * shards, before, journal))
        step.run = max(step.run, round(shards))
        step.total = max(step.total, round(len(wished) + self._new_shards()))
        speed, words = pace(self.query, self.dataset, "standardize")
        step.seconds = lot.seconds * speed
        step.inputs.append(f"{hours(lot.seconds)} of {count(lot.files.likely)} recordings")
        step.inputs.append(words)

    def _may_share(self) -> bool:
        """Say whether standard audio may be copies of canonical sources that take no space."""
        if not may_share_blocks(self.project.root(self.dataset), self.project.standard):
            return False
        suffix = f".{self.form}"
        return self.material.copied or any(row.path.lower().endswith(suffix) for row in self._sample())

    def _standardized(self, shard: str) -> Receipt[StandardizedShard] | None:
        """Return a shard's receipt; None where it is of another version of earmark, which may count other things."""
        receipt = receipt_of(self.project, Unit("standardize", self.dataset, shard), StandardizedShard)
        return receipt if receipt is not None and receipt.version == standardize.VERSION else None

    def _new_shards(self) -> float:
        """Return how many shards the recordings of no shard yet will fill."""
        new = self.todo.get("")
        if new is None or not new.files.likely:
            return 0.0
        by_hours = new.seconds.likely / HOUR_S / self.table.shard_hours
        return float(math.ceil(max(new.files.likely / self.table.shard_files, by_hours, 0.01)))

    def _shares(self, late: list[str]) -> dict[str, float]:
        """Return `_share` of shards; where thousands would have to be compared, the mean of some for the rest."""
        found: dict[str, float] = {}
        read = 0
        for shard in late:
            if self.project.table(self.dataset, shard).exists():
                read += 1
            if read <= SHARDS_READ:
                found[shard] = self._share(shard)
        mean = sum(found.values()) / max(1, len(found))
        return {shard: found.get(shard, mean) for shard in late}

    def _share(self, shard: str) -> float:
        """Return the share of a shard's bytes that standardize would decode: what its table or journal lacks."""
        policy = policy_of(self.project, self.dataset)
        receipt = self._standardized(shard)
        if receipt is not None and receipt.made_from(ShardInputs).policy != policy:
            return 1.0
        paths = (self.project.table(self.dataset, shard), journal_path(self.project, self.dataset, shard))
        rows = (row for path in paths for row in read_whole_rows(path))
        made = {row.path: row for row in rows if row.policy == policy}
        if not made:
            return 1.0
        size = missing = 0
        with contextlib.suppress(OSError):
            for row in read_rows(self.project.shard_list(self.dataset, shard)):
                found = made.get(row.path)
                size += row.size
                whole = found is not None and found.source_hash == row.source_hash
                if whole and self.query.run.thorough and found is not None:
                    whole = is_whole(self.project, self.dataset, found)
                missing += 0 if whole else row.size
        return missing / size if size else 1.0

    def _lots(self, sizes: dict[str, float], shares: dict[str, float], step: Step) -> dict[str, Lot]:
        """Return what the recordings to be decoded of each shard come to."""
        measured = self._measured_rates()
        if measured is not None:
            seconds, standard, words = measured
            step.inputs.append(words)
            return {shard: self._lot(shard, shares[shard], size, seconds, standard) for shard, size in sizes.items()}
        random_ = sampler()
        chosen = random_.sample(sorted(sizes), min(SHARDS_SAMPLED, len(sizes)))
        rows = [(shard, row) for shard in chosen for row in self._rows(shard)]
        picked = random_.sample(rows, min(ROWS_SAMPLED, len(rows)))
        root, shared = self.project.root(self.dataset), Counter((shard, file_of(row.path)) for shard, row in rows)
        # recordings of one file share its bytes
        weighed = [(root / row.path, row.size / shared[shard, file_of(row.path)]) for shard, row in picked]
        probes = self.material.probed(weighed)
        population = sum(self.listed[shard].files for shard in sizes)
        if not probes.sounds:
            seconds, standard = assumed_rates(picked[0][1].path if picked else "", self.form)
            step.inputs.append(f"no measurement yet: assumed {1 / seconds.likely:,.0f} B/s of source")
            return {shard: self._lot(shard, shares[shard], size, seconds, standard) for shard, size in sizes.items()}
        # one header in ten thousand that tells no length leaves the others what they are: the whole
        population = len(probes.sounds) if len(picked) == population <= len(probes.sounds) * 1.05 else population
        seconds = probes.seconds_per_byte(population)
        standard = probes.standard_per_byte(self.form, population)
        said = f"headers of {len(probes.sounds):,} of {count(population)} recordings"
        if self.form == "flac" and probes.flac_rates:
            rate = sum(probes.flac_rates) / len(probes.flac_rates)
            said += f", {len(probes.flac_rates):,} excerpts compressed to {rate / 1000:.1f} kB/s"
        step.inputs.append(said)
        return {shard: self._lot(shard, shares[shard], size, seconds, standard) for shard, size in sizes.items()}

    def _sample(self) -> list[ShardRow]:
        """Return the recordings of some shards."""
        chosen = sampler().sample(sorted(self.listed), min(SHARDS_SAMPLED, len(self.listed)))
        return [row for shard in chosen for row in self._rows(shard)]

    def _rows(self, shard: str) -> list[ShardRow]:
        if shard not in self._samples:
            self._samples[shard] = []
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._samples[shard] = list(read_rows(self.project.shard_list(self.dataset, shard)))
        return self._samples[shard]

    def _lot(self, shard: str, share: float, size: float, seconds: Amount, standard: Amount) -> Lot:
        files = exact(self.listed[shard].files * share)
        receipt = self._standardized(shard)
        length = exact(size) * seconds
        if receipt is not None and receipt.counts["files"]:  # its length is known from the last time
            length = exact(receipt.counts["samples"] / RATE_HZ * share)
        made = exact(size) * standard
        if self.form == "wav":
            made = length * WAV_BYTES_PER_S + files * WAV_HEADER_BYTES
        return Lot(files, exact(size), length, made)

    def _measured_rates(self) -> tuple[Amount, Amount, str] | None:
        """Return seconds and standard bytes a byte of source from this dataset's finished shards."""
        policy = policy_of(self.project, self.dataset)
        pairs = [(shard, self._standardized(shard)) for shard in sorted(self.listed)]
        done = [(self.listed[shard].size_bytes, receipt) for shard, receipt in pairs if receipt is not None]
        done = [(size, receipt) for size, receipt in done if receipt.made_from(ShardInputs).policy == policy and size]
        if not done:
            return None
        sizes = [size for size, _ in done]
        seconds = [receipt.counts["samples"] / RATE_HZ for _, receipt in done]
        made = [receipt.counts["standard_bytes"] for _, receipt in done]
        rates = [ratio(sizes, values, len(pairs)) for values in (seconds, made)]
        if len(done) == 1:
            rates = [about(rate.likely, 1.2) for rate in rates]
        return rates[0], rates[1], f"measured on {len(done):,} shards of {self.dataset}"

    def manifest(self, step: Step) -> None:
        """Add the manifests."""
        follows = bool(self.todo)
        if step.state != "R" and not follows:
            return
        if step.state == "U":
            step.why, step.run = ["the stages before it run first"], 1
        known = sum(sealed.files for sealed in self.listed.values())
        row, words = self._row_bytes()
        new = self.material.new.files if "" in self.todo else Amount()
        receipt = receipt_of(self.project, step.unit, ManifestFiles)
        old = sum(sealed.size for sealed in receipt.outputs.files.values()) if receipt else 0
        size = exact(known) * row + new * (row if known else about(MANIFEST_ROW, 1.5))
        step.items.append(Item("manifests", self.project.manifests, size, 3, old))
        speed, measured = pace(self.query, self.dataset, "manifest")
        step.seconds = (exact(known) + new) * speed
        step.inputs += [f"{count(known + new.likely)} rows x {words}", measured]

    def _row_bytes(self) -> tuple[Amount, str]:
        """Return the bytes of a manifest row, from a sample of what scan listed."""
        from earmark.training.manifest_row import dump_row, make_row

        rows = self._sample()[:ROWS_SAMPLED]
        if not rows:
            return about(MANIFEST_ROW, 1.5), f"{MANIFEST_ROW} bytes, assumed"
        sizes = [
            len(
                dump_row(
                    make_row(
                        self.dataset,
                        row,
                        SOME_AUDIO,
                        self.project.relative(audio_file(self.project, self.dataset, row.path)),
                        self.form,
                    )
                )
            )
            for row in rows
        ]
        mean = sum(sizes) / len(sizes)
        return Amount(mean * 0.97, mean, mean * 1.03), f"{mean:.0f} bytes, from {len(rows):,} listed recordings"

    def features(self, step: Step) -> None:
        """Add packs and feature manifests of each encoder."""
        late = {unit.part for unit, verdict in step.shards if verdict.state == "R"}
        for name in self.project.catalog.encoders_of(self.dataset):
            self._encode(step, name, late)
        if not step.items:
            return
        if step.state == "U":
            step.why = ["the stages before it run first"]
        shards = len(late | (self.todo.keys() - {""})) + self._new_shards()
        step.run, step.total = (
            max(step.run, round(shards)),
            max(step.total, round(len(step.shards) + self._new_shards())),
        )
        step.items.append(Item("receipts", self.project.cache / "receipts", exact(shards * RECEIPT_BYTES), shards))

    def _encode(self, step: Step, name: str, late: set[str]) -> None:
        """Add what one encoder writes for the recordings whose audio hash no pack of it holds."""
        encoder = self.project.encoder(name)
        forecast = encoder.forecast(self.project.models)
        frames, width = forecast.frames, forecast.width
        if forecast.model_bytes:
            step.items.append(Item("model", self.project.cache / "models", exact(forecast.model_bytes), 2))
        n_held = n_known = 0
        lots: list[tuple[Amount, Amount]] = []  # recordings and frames of each pack
        for unit, verdict in step.shards:
            again = self.todo.get(unit.part)
            if again is not None and not self._alike(unit.part):  # else: other standard files of the same audio
                lots.append((again.files, again.frames(frames)))
            elif verdict.state == "R":
                packs = any((self.project.cache / "features").glob(f"{name}-*"))
                if len(late) > SHARDS_READ or not packs:
                    lots.append(self._counted(unit.part, frames, held=packs))
                    continue
                made = self._made(unit.part)
                held = self._held(name, set(made))
                n_frames = sum(frames.count(made[key]) for key in made.keys() - held)
                n_held, n_known = n_held + len(held), n_known + len(made)
                lots += [(exact(len(made) - len(held)), exact(n_frames))] if n_frames else []
        size_of = functools.partial(
            pack_bytes, n_state=width, codec=encoder.codec, chunk_frames=chunk_frames_of(frames)
        )
        sizes = [size_of(n_frames, files.likely) for files, n_frames in lots]
        n_packs = float(len(lots))
        if "" in self.todo:
            new, n_new = self.todo[""], self._new_shards()
            lots.append((new.files, new.frames(frames)))
            sizes.append(size_of(new.frames(frames), new.files.likely, packs=int(n_new)))
            n_packs += n_new
        if n_known:
            step.held = f"{n_held:,} of {n_known:,} recordings are in packs of {name} already"
        if not sizes and step.state != "R":
            return
        all_files, all_frames = total(one for one, _ in lots), total(one for _, one in lots)
        cache = self.project.cache / "features"
        if sizes:
            step.items.append(Item(f"packs of {name}", cache, total(sizes), n_packs * PACK_FILES))
            step.items.append(Item("index", cache, all_files * HELD_BYTES, 1))
        self._feature_manifest(step, name)
        if not sizes:
            return
        speed, words = encoding_pace(self.query, self.dataset, name, forecast)
        step.seconds += exact(windows(all_files.likely, all_frames.likely, frames)) * speed
        per_s = width * ITEM_BYTES[encoder.codec] * frames.per_s / 1000
        length = hours(all_frames * (1 / frames.per_s))
        step.inputs.append(f"{name}: {length} x {per_s:.1f} kB/s" + (forecast.assumed and f" ({forecast.assumed})"))
        step.inputs.append(words)

    def _feature_manifest(self, step: Step, name: str) -> None:
        if step.shards and len(step.shards) < len(self.listed):
            return  # a shard that is named needs none
        rows = sum(sealed.files for sealed in self.listed.values()) + self.material.new.files.likely
        target = self.project.feature_manifest(name, self.dataset)
        old = target.stat().st_size if target.exists() else 0
        size = about(rows * (FEATURE_ROW + 2 * len(self.dataset)), 1.3)
        step.items.append(Item("feature manifest", self.project.manifests, size, 1, old))

    def _alike(self, shard: str) -> bool:
        """Say whether a shard's canonical audio stays what it is, since nothing but its standard format differs."""
        receipt = self._standardized(shard)
        if receipt is None:
            return False
        made_from, policy = receipt.made_from(ShardInputs), policy_of(self.project, self.dataset)
        same_policy = msgspec.structs.replace(made_from.policy, format=policy.format) == policy
        return same_policy and made_from.audio == self.listed[shard].audio

    def _made(self, shard: str) -> dict[str, int]:
        """Return samples by audio hash of a standardized shard."""
        with contextlib.suppress(OSError, ValueError):
            return {row.audio_hash: row.n_samples for row in read_good(self.project.table(self.dataset, shard))}
        return {}

    def _counted(self, shard: str, frames: Frames, *, held: bool) -> tuple[Amount, Amount]:
        """Return recordings and frames of a standardized shard from its receipt; `held`: packs may hold any of them."""
        receipt = self._standardized(shard)
        if receipt is None:
            return Amount(), Amount()
        good = receipt.counts["files"] - receipt.counts["bad"]
        n_frames = frames.mean(receipt.counts["samples"] / RATE_HZ, good)
        return exact(good), Amount(0.0 if held else n_frames, n_frames, n_frames)

    def _held(self, name: str, hashes: set[str]) -> set[str]:
        with contextlib.suppress(EarmarkError):
            return features.stored(self.project, name, hashes) if hashes else set()
        return set()
