"""Comparisons over bulk data: extraction, standard audio, encoder features."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from inputs import Collection, write_archive, write_studio, write_utterances
from peers import HERE, Peers, missing
from rounds import Comparison, Row, Side, Timing, call, measure, rows_of, shell

WORKERS = 2  # processes or threads that every side may use
AGREEMENT = 1e-3  # relative L2 between features stored as float16 on both sides


def extract(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """Archive to tree: earmark against tar."""
    collection = Collection(home / "extract")
    archive = collection.root.parent / "x.tar.gz"
    size = write_archive(home, archive, count)
    collection.write_catalog(archives='[{ file = "x.tar.gz" }]')
    tree = home / "tree"

    def fresh() -> None:
        collection.forget("cache", "data/x/mls")
        remove(tree)
        tree.mkdir()

    unpack = f"tar -xzf '{archive}'"
    sums = "find mls -type f -print0 | xargs -0 sha256sum > SUMS"
    sides = [
        Side(
            "earmark",
            "`doit extract:x`: names checked, every member hashed, written, synced, read back, sealed;"
            " start-up included",
            lambda: collection.doit("extract:x"),
            fresh,
        ),
        Side("tar", "`tar -xzf`", partial(shell, unpack, tree), fresh),
        Side(
            "tar, sha256sum",
            "`tar -xzf`, then `sha256sum` of every file",
            partial(shell, f"{unpack} && {sums}", tree),
            fresh,
        ),
        Side(
            "tar, sync, sha256sum",
            "the same with `sync` between, so that what is hashed is on the disk as earmark's is",
            partial(shell, f"{unpack} && sync && {sums}", tree),
            fresh,
        ),
    ]
    setting = f"{count:,} FLAC files in one .tar.gz, {size / 1e6:.0f} MB, default gzip level"
    return Comparison("1. extract", setting, rows_of(measure(sides, rounds)))


def standardize(home: Path, peers: Peers, rounds: int, n_each: int) -> Comparison:
    """Corpus audio to 16 kHz mono FLAC: earmark against ffmpeg and Lhotse."""
    collection, seconds = Collection(home / "standardize"), 15.0
    write_studio(collection.root, n_each, seconds)
    collection.write_catalog()
    ffmpeg_out, lhotse_out = home / "standard-ffmpeg", home / "standard-lhotse"
    outputs = [collection.home / "data" / "standard"]
    sides = [
        Side(
            "earmark",
            f"`doit standardize:x`, {WORKERS} processes: scan (hash every source), decode, soxr HQ, FLAC, audio hash,"
            " levels, hash of every file written, one sync, receipt; start-up included",
            lambda: collection.doit("standardize:x"),
            partial(collection.forget, "cache", "data/standard"),
        )
    ]
    comparison = Comparison(
        "2. standardize", f"{n_each} FLAC of 44.1 kHz stereo and {n_each} Opus, {seconds:.0f} s each", []
    )
    if shutil.which("ffmpeg"):
        one = (
            f"""ffmpeg -nostdin -v error -i "$1" -ar 16000 -ac 1 -sample_fmt s16 "{ffmpeg_out}"/$(basename "$1").flac"""
        )
        loop = (
            f"mkdir '{ffmpeg_out}' && find mls -name '*.[fo][lp]*' -print0 | xargs -0 -P{WORKERS} -I@ sh -c '{one}' _ @"
        )
        what = f"`find | xargs -P{WORKERS} ffmpeg -ar 16000 -ac 1 -sample_fmt s16 ... .flac`, no hash, no check"
        sides.append(Side("ffmpeg", what, partial(shell, loop, collection.root.parent), partial(remove, ffmpeg_out)))
        outputs.append(ffmpeg_out)
    else:
        comparison.skipped.append(missing("ffmpeg"))
    lhotse = peers.python("lhotse")
    if lhotse:
        command = [lhotse, HERE / "peer_lhotse.py", collection.root, lhotse_out, str(WORKERS)]
        what = f"`RecordingSet.from_dir`, `resample(16000)`, first channel, `save_audios('flac', num_jobs={WORKERS})`"
        sides.append(Side("Lhotse", what, lambda: call(command, home) and None, partial(remove, lhotse_out)))
        outputs.append(lhotse_out)
    else:
        comparison.skipped.append(missing("Lhotse"))
    comparison.rows = rows_of(measure(sides, rounds))
    made = [f"{side.name} {_standard(folder)}" for side, folder in zip(sides, outputs, strict=True)]
    comparison.notes.append(f"Made in the last round: {'; '.join(made)}.")
    return comparison


def remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _standard(folder: Path) -> str:
    """Say how many files and seconds a folder holds; all must be 16 kHz mono."""
    infos = [soundfile.info(path) for path in folder.rglob("*.flac")]
    odd = [info.name for info in infos if (info.samplerate, info.channels) != (16_000, 1)]
    if odd:
        raise SystemExit(f"{odd[0]}: not 16 kHz mono")
    return f"{len(infos)} files, {sum(info.frames for info in infos) / 16_000:.1f} s"


def features(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """Whisper-tiny's encoder over 30 s windows: earmark against PyTorch and mlx_whisper."""
    many, one = (_utterances(home, name, number) for name, number in (("features", count), ("features-one", 1)))
    weights = home / "weights.npz"
    _export(many.home / "model", weights)
    rows_dir = home / "rows"
    comparison = Comparison("5. features", f"{count} utterances of 5 to 15 s, one padded 30 s window each, float32")

    def earmark_side(collection: Collection, what: str) -> Side:
        run = lambda: collection.doit("features:x") and None  # noqa: E731
        prepare = partial(collection.forget, "cache/features", "cache/receipts/features", "manifests/features")
        return Side("earmark", what, run, prepare)

    sides = [
        earmark_side(many, "`doit features:x`: log-mel, encoder on OpenVINO, audio hash checked, Zarr pack, receipt"),
        earmark_side(one, "the same with one window"),
    ]
    torch = peers.python("torch")
    if torch:

        def torch_side(collection: Collection, what: str) -> Side:
            listed = collection.home / "list.txt"
            audio = sorted((collection.home / "data" / "standard").rglob("*.flac"))
            listed.write_text("".join(f"{path}\n" for path in audio), "utf-8")
            command = [torch, HERE / "peer_torch.py", weights, listed, rows_dir, str(WORKERS)]
            return Side("PyTorch", what, lambda: call(command, home) and None, partial(remove, rows_dir))

        what = f"a plain loop, batch 1, {WORKERS} threads: read FLAC, log-mel, encoder, one .npy a file"
        sides += [torch_side(one, "the same with one window"), torch_side(many, what)]
    else:
        comparison.skipped.append(missing("PyTorch"))
    timings = measure(sides, rounds)
    if torch:
        sides[-1].prepare()
        sides[-1].run()
        comparison.notes.append(_agreement(many.home, rows_dir))
        timings = [timings[0], timings[1], timings[3], timings[2]]
    comparison.rows = _throughput(timings, count)
    seconds = float(call([sys.executable, HERE / "peer_mlx.py", weights], home))
    rate = 1 / seconds
    what = "its own `AudioEncoder` on the CPU, log-mel, import and loading not counted; one window, once"
    times = comparison.rows[1].value / rate
    comparison.rows.append(Row("mlx_whisper", what, rate, "windows/s", f"{seconds:.1f} s a window", times))
    comparison.notes.append("MLX's Linux wheel computes with a reference BLAS: no measure of MLX on Apple silicon.")
    return comparison


def _throughput(timings: list[Timing], count: int) -> list[Row]:
    """Return windows a second, with start-up and without: without is the slope between one window and all."""
    rows: list[Row] = []
    for full, single in zip(timings[::2], timings[1::2], strict=True):
        spread = " ".join(f"{seconds:.2f}" for seconds in full.wall_s)
        slope = (count - 1) / (full.median_s - single.median_s)
        whole = count / full.median_s
        times = [rows[0].value / whole, rows[1].value / slope] if rows else [None, None]
        said = f"{spread} s in all, {single.median_s:.2f} s with one window"
        rows.append(Row(full.side.name, f"{full.side.what}; start-up included", whole, "windows/s", said, times[0]))
        rows.append(Row(full.side.name, "the same, start-up excluded (slope)", slope, "windows/s", "", times[1]))
    return rows


def _utterances(home: Path, name: str, count: int) -> Collection:
    """Return a collection with Whisper-tiny's architecture, all stages before `features` done."""
    from earmark.demo import corpus
    from earmark.disk.files import Scratch

    collection = Collection(home / name)
    collection.write_catalog()
    corpus.write_model(collection.home / "model", Scratch(home / "tmp"))
    write_utterances(collection.root, count)
    collection.doit("manifest:x")
    return collection


def _export(model: Path, target: Path) -> None:
    """Write weights, positions, mel filters and the number of heads where a peer can read them with numpy alone."""
    from earmark.encoders.whisper import mel, weights

    loaded = weights.load(model)
    config = loaded.config
    positions = weights.sinusoids(config.n_audio_ctx, config.n_audio_state)
    filters = mel.mel_filters(config.n_mels)
    np.savez(target, positions=positions, filters=filters, heads=config.n_audio_head, **loaded.tensors)


def _agreement(home: Path, rows_dir: Path) -> str:
    """Hold earmark's stored rows against the peer's; fail where they are not the same features."""
    import zarr

    packs = {path.name: zarr.open_group(path, mode="r") for path in home.glob("cache/features/*/packs/*.zarr")}
    worst = 0.0
    for line in (home / "manifests" / "features" / "bench" / "x.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        group = packs[row["pack"]]
        start, stop = (int(edge) for edge in group["offsets"][row["row"] : row["row"] + 2])
        ours = group["frames"][start:stop].astype(np.float64)
        theirs = np.load(rows_dir / f"{Path(row['audio_path']).stem}.npy").astype(np.float64)
        worst = max(worst, float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)))
    if worst > AGREEMENT:
        raise SystemExit(f"features differ: relative L2 {worst:.2e}, at most {AGREEMENT:.0e} expected")
    return f"Both sides' features agree: largest relative L2 of an utterance {worst:.1e} (both stored as float16)."
