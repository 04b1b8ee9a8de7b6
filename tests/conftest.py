"""Shared fixtures: small projects on disk, and doit run on them as a user runs it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile
from models import write_model

CHECKOUT = Path(__file__).parent.parent
BYTECODE = CHECKOUT / ".pytest_cache" / "bytecode"  # where a hundred runs of doit find what the first one compiled
RATE_HZ = 16_000


def speech(seconds: float, seed: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return seeded noise under a slow envelope, (n,) int16: cheap, and no two seeds alike."""
    n = int(seconds * rate_hz)
    noise = np.random.default_rng(seed).normal(0, 2000, n) * (1 + np.sin(np.arange(n) / 1500))
    return noise.astype(np.int16)


@dataclass
class Collection:
    """A catalog of its own in a folder of its own, and doit run on it."""

    home: Path
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    standard: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=lambda: {"workers": 1})
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write_catalog(self) -> None:
        tables = {
            "standard": self.standard,
            "run": self.run,
            "encoders.small": {"model": "model", "engine": "openvino"} | self.encoder,
        }
        for kind, named in {"datasets": self.datasets, "manifests": self.manifests, "jobs": self.jobs}.items():
            tables |= {f"{kind}.{name}": table for name, table in named.items()}
        lines = []
        for name, table in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "datasets.toml").write_text("\n".join(lines) + "\n", "utf-8")

    def add_dataset(self, name: str, **table: Any) -> Path:
        """Add a table in LibriSpeech's layout and return the root of its tree."""
        self.datasets[name] = {"corpus": "librispeech", "root": "LibriSpeech"} | table
        self.write_catalog()
        return self.home / "data" / name / "LibriSpeech"

    def doit(self, *args: str, env: dict[str, str] | None = None, check: bool = True, timeout: float = 120) -> Any:
        """Run doit in the checkout on this catalog."""
        done = subprocess.run(
            [sys.executable, "-m", "doit", *args],
            cwd=CHECKOUT,
            env=self.environment() | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"doit {' '.join(args)} -> {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start doit and return its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "doit", *args],
            cwd=CHECKOUT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        ours = {"EARMARK_CATALOG": str(self.home / "datasets.toml"), "HF_HUB_OFFLINE": "1"}
        return kept | ours | {"PYTHONPYCACHEPREFIX": str(BYTECODE)}

    def states(self, *args: str) -> dict[str, str]:
        """Return the state letter of each line of `doit list --status`."""
        lines = self.doit("list", "--status", *args).stdout.splitlines()
        split = [line.split() for line in lines if line.strip() and line.strip()[1:2] == " "]
        return {words[1]: words[0] for words in split}

    def receipt(self, stage: str, dataset: str, part: str = "") -> dict[str, Any]:
        below = self.home / "cache" / "receipts" / stage
        return orjson.loads((below / dataset / f"{part}.json" if part else below / f"{dataset}.json").read_bytes())

    def rows(self, relative: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self.home / relative).read_bytes().splitlines()]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return orjson.dumps(value).decode()


def write_chapter(
    root: Path, chapter: str, seeds: dict[int, int], split: str = "train-clean-100", seconds: float = 1.0
) -> None:
    """Write one chapter in LibriSpeech's layout: utterance number -> seed of its sound."""
    speaker, number = chapter.split("-")
    folder = root / split / speaker / number
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{chapter}-{utterance:04d} WORD {utterance}\n" for utterance in seeds]
    (folder / f"{chapter}.trans.txt").write_text("".join(lines), "utf-8")
    for utterance, seed in seeds.items():
        path = folder / f"{chapter}-{utterance:04d}.flac"
        if not path.exists():
            soundfile.write(path, speech(seconds, seed), RATE_HZ, subtype="PCM_16")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """An empty collection with a small seeded encoder."""
    made = Collection(tmp_path / "collection")
    made.write_catalog()
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection with one dataset, `books`: eight recordings in two shards, all stages done. Copy it."""
    made = Collection(tmp_path_factory.mktemp("finished") / "collection")
    root = made.add_dataset("books", shard_files=4)
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    write_chapter(root, "1-10", {number: number for number in range(4)})
    write_chapter(root, "2-20", {number: 10 + number for number in range(4)}, split="dev-clean")
    made.doit("features:books")
    return made


@pytest.fixture
def two_shards(finished: Collection, tmp_path: Path) -> Collection:
    """A copy of `finished`, scanned again because inodes and ctimes differ; everything is current."""
    home = tmp_path / "collection"
    shutil.copytree(finished.home, home)
    made = Collection(home, {name: dict(table) for name, table in finished.datasets.items()})
    made.doit("features:books")
    return made


@pytest.fixture(scope="session")
def demo_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's archive, synthesised once."""
    from earmark.demo import write_corpus
    from earmark.files import Scratch

    folder = tmp_path_factory.mktemp("demo")
    write_corpus(folder / "earmark-demo.tar.gz", Scratch(folder / "tmp"))
    return folder / "earmark-demo.tar.gz"


def decoded_features(home: Path, encoder: str = "small") -> Iterator[tuple[str, np.ndarray]]:
    """Yield audio hash and frames of every row of every feature manifest of an encoder."""
    import zarr

    packs = {path.name: path for path in home.glob(f"cache/features/{encoder}-*/packs/*.zarr")}
    for manifest in sorted((home / "manifests" / "features" / encoder).glob("*.jsonl")):
        for line in manifest.read_bytes().splitlines():
            row = orjson.loads(line)
            group = zarr.open_group(packs[row["pack"]], mode="r")
            start, stop = (int(edge) for edge in group["offsets"][row["row"] : row["row"] + 2])
            assert stop - start == row["n_frames"]
            yield row["audio_hash"], group["frames"][start:stop]
