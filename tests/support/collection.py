"""A catalog of its own in a folder of its own, and doit run on it as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import soundfile

from earmark.rates import RATE_HZ

CHECKOUT = Path(__file__).parents[2]
BYTECODE = CHECKOUT / ".pytest_cache" / "bytecode"  # where a hundred runs of doit find what the first one compiled


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
            lines += [f"{key} = {toml_value(value)}" for key, value in table.items()]
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


def toml_value(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {toml_value(item)}' for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
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


def snapshot(home):
    """Return mtime and size of every file below a folder, but the run lock, which names its last holder."""
    files = (path for path in home.rglob("*") if path.is_file() and path.name != "run.lock")
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def done(completed) -> list[str]:
    """Return the units that a run built."""
    return [line[3:] for line in completed.stdout.splitlines() if line.startswith(".  ")]


def pack_names(home) -> set[str]:
    return {path.name for path in home.glob("cache/features/*/packs/*.zarr")}
