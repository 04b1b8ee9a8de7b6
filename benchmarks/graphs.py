"""Comparisons of what a build tool itself costs: nothing to do, and one file more."""

import shutil
import sys
from functools import partial
from itertools import count as counting
from pathlib import Path

import soundfile
from inputs import CHECKOUT, Collection, noise, place, write_noise, write_transcripts
from peers import DODO, DVC_STAGE, SNAKEFILE, Peers, missing
from rounds import Comparison, Side, call, measure, rows_of

RECORDING_S = 0.5
DVC_ENV = {"DVC_NO_ANALYTICS": "1", "CI": "1"}


def _collection(home: Path, count: int) -> Collection:
    """Return a collection of `count` recordings with a tiny seeded encoder, every stage done; made once a size."""
    collection = Collection(home / f"graphs-{count}")
    if collection.home.exists():
        return collection
    sys.path.append(str(CHECKOUT / "tests"))
    from support.models import write_model

    collection.write_catalog(encoder='window = "clip"')
    write_model(collection.home / "model", n_state=32, n_head=2, n_layer=1)
    write_noise(collection.root, range(count), RECORDING_S)
    collection.doit("features:x")
    return collection


def _workflow(home: Path, name: str, collection: Collection, *, done: bool) -> Path:
    """Return a peer's folder with the same recordings, and where `done` the decoded files that it would make."""
    folder = home / name
    shutil.copytree(collection.root, folder / "mls")
    if done:
        shutil.copytree(collection.root / "train" / "audio", folder / "standard", copy_function=shutil.copyfile)
    return folder


def _snakemake(home: Path, collection: Collection, command: Path) -> tuple[Path, Side]:
    """Return a finished Snakemake workflow and the side that runs it again."""
    folder = home / f"snakemake-{collection.home.name}"
    what = "`snakemake --cores 2`: one decode job a file, one job that lists them (no manifest, no features)"
    run = partial(call, [command, "--cores", "2"], folder)
    side = Side("Snakemake", what, lambda: run() and None)
    if folder.exists():
        return folder, side
    _workflow(home, folder.name, collection, done=True)
    (folder / "Snakefile").write_text(SNAKEFILE, "utf-8")
    run()
    run()
    return folder, side


def rerun(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """Nothing to do: earmark against Snakemake, DVC and stock doit."""
    collection = _collection(home, count)
    said = collection.doit("features:x")
    if "0 done" not in said:
        raise SystemExit(f"features:x was to have nothing to do, and said: {said}")
    what = "`doit features:x`: all five stages current, every source and standard file looked at by stat"
    sides = [Side("earmark", what, lambda: collection.doit("features:x") and None)]
    comparison = Comparison("3. no-op rerun", f"{count:,} recordings, everything finished")
    doit, dvc, snakemake = (peers.script(name) for name in ("doit", "dvc", "snakemake"))
    if doit:
        folder = _workflow(home, "stock-doit", collection, done=False)
        (folder / "dodo.py").write_text(DODO, "utf-8")
        call([doit], folder)
        what = "`doit`, stock, md5 checker, one decode task a file (timestamps first, md5 where they differ)"
        sides.append(Side("stock doit", what, lambda: call([doit], folder) and None))
    if dvc:
        at = _workflow(home, "dvc", collection, done=False)
        (at / "dvc.yaml").write_text(DVC_STAGE, "utf-8")
        call([dvc, "init", "--no-scm"], at, DVC_ENV)
        call([dvc, "repro"], at, DVC_ENV)
        what = "`dvc repro`: one decode stage over the folder"
        sides.append(Side("DVC", what, lambda: call([dvc, "repro"], at, DVC_ENV) and None))
    if snakemake:
        sides.append(_snakemake(home, collection, snakemake)[1])
    for name, found in (("stock doit", doit), ("DVC", dvc), ("Snakemake", snakemake)):
        comparison.skipped += [] if found else [missing(name)]
    comparison.notes.append(
        "Snakemake's workflow was finished by laying the decoded files down, without its job records: when tried,"
        " recording 2,000 jobs took it 4.5 minutes, after which its no-op took as long as without them (3.7 s)."
    )
    comparison.rows = rows_of(measure(sides, rounds))
    return comparison


def added(home: Path, peers: Peers, rounds: int, count: int) -> Comparison:
    """One file more: earmark against Snakemake."""
    collection = _collection(home, count)
    numbers = counting(count)
    comparison = Comparison("4. one file added", f"{count:,} recordings finished, one more laid into the tree")

    def add(roots: list[Path]) -> None:
        collection.doit("features:x")  # what the round before left undone
        number = next(numbers)
        for root in roots:
            soundfile.write(place(root, number, ".flac"), noise(RECORDING_S, number), 16_000, subtype="PCM_16")
            write_transcripts(root)

    prepare = partial(add, [collection.root])

    def side(name: str, what: str, task: str) -> Side:
        return Side(name, what, lambda: collection.doit(task) and None, prepare)

    sides = [
        side("earmark", "`doit manifest:x`: scan, decode, hash, manifest", "manifest:x"),
        side("earmark, features too", "`doit features:x`: the same, and the encoder", "features:x"),
    ]
    snakemake = peers.script("snakemake")
    if snakemake and shutil.which("ffmpeg"):
        folder, again = _snakemake(home, collection, snakemake)
        what = "`snakemake --cores 2`: ffmpeg on the new file, then the file list"
        sides.append(Side("Snakemake", what, again.run, partial(add, [folder / "mls"])))
    else:
        comparison.skipped.append(missing("Snakemake"))
    comparison.rows = rows_of(measure(sides, rounds))
    comparison.notes.append("DVC is not shown: its stage is the folder, so one file more decodes all of them again.")
    return comparison
