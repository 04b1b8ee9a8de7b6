"""Synthesised input: small collections with a catalog, archives, and audio at the rates that corpora have."""

import itertools
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from rounds import call, shell

from earmark.demo import corpus, voice

CHECKOUT = Path(__file__).parent.parent
BOOK_FILES = 100  # recordings in a folder
VOICES = 8  # distinct utterances of the synthesiser; the rest are these, turned round by some samples
SEED = 11


@dataclass(frozen=True)
class Collection:
    """A catalog in a folder of its own with one dataset, `x`, in the layout of Multilingual LibriSpeech."""

    home: Path

    @property
    def root(self) -> Path:
        """Where the dataset's tree begins."""
        return self.home / "data" / "x" / "mls"

    def write_catalog(self, *, archives: str = "[]", encoder: str = 'window = "padded"') -> None:
        """Write the catalog; `encoder` is what is said of it besides model and engine."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        (self.home / "datasets.toml").write_text(
            f'[encoders.bench]\nmodel = "model"\nengine = "openvino"\n{encoder}\n\n'
            f'[datasets.x]\ncorpus = "mls"\nroot = "mls"\narchives = {archives}\n',
            "utf-8",
        )

    def doit(self, task: str) -> str:
        """Run a task in a process of its own, as the command line does."""
        env = {"EARMARK_CATALOG": str(self.home / "datasets.toml"), "HF_HUB_OFFLINE": "1"}
        return call([sys.executable, "-m", "doit", task], CHECKOUT, env)

    def warm(self) -> None:
        """Run doit on nothing, so that the first timed run finds its bytecode as the second does."""
        self.write_catalog()
        self.doit("list")

    def forget(self, *folders: str) -> None:
        """Delete folders of the collection."""
        for folder in folders:
            shutil.rmtree(self.home / folder, ignore_errors=True)


def place(root: Path, number: int, suffix: str) -> Path:
    """Return the path of a recording in the layout of Multilingual LibriSpeech, its folder made."""
    speaker = 100 + number // BOOK_FILES
    path = root / "train" / "audio" / f"{speaker}" / "1" / f"{speaker}_1_{number:06d}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_transcripts(root: Path) -> None:
    """Write the label file of a tree, one line a recording."""
    stems = sorted(path.stem for path in (root / "train" / "audio").rglob("*.*"))
    (root / "train" / "transcripts.txt").write_text("".join(f"{stem}\twords of {stem}\n" for stem in stems), "utf-8")


def noise(seconds: float, seed: int, rate_hz: int = 16_000) -> np.ndarray:
    """Return seeded noise under a slow envelope, (n,) int16."""
    n = int(seconds * rate_hz)
    sound = np.random.default_rng(seed).normal(0, 2000, n) * (1 + np.sin(np.arange(n) / 1500))
    return sound.astype(np.int16)


def write_noise(root: Path, numbers: range, seconds: float) -> None:
    """Write recordings of seeded noise, 16 kHz mono FLAC, no two alike."""
    for number in numbers:
        soundfile.write(place(root, number, ".flac"), noise(seconds, SEED + number), 16_000, subtype="PCM_16")
    write_transcripts(root)


def speech(seconds: float, seed: int) -> np.ndarray:
    """Return speech of the synthesiser, (n,) float64 at 16 kHz within +-0.5."""
    random = np.random.default_rng([SEED, seed])
    words: list[str] = []
    for phrase in corpus.phrases(random):
        words += phrase
        if corpus.duration_s(corpus.phones_of(words)) >= seconds:
            break
    sound = voice.synthesise(corpus.phones_of(words), corpus.SPEAKERS[seed % len(corpus.SPEAKERS)], random)
    sound = sound[: int(seconds * voice.RATE_HZ)]
    return 0.5 * sound / np.abs(sound).max() + 1e-4 * random.standard_normal(len(sound))


def write_studio(root: Path, n_each: int, seconds: float) -> None:
    """Write `n_each` FLAC files of 44.1 kHz stereo, 16 bits, and as many Opus files of 48 kHz mono."""
    voices = [speech(seconds, seed) for seed in range(VOICES)]

    def write(number: int) -> None:
        sound = np.roll(voices[number % VOICES], 997 * number)
        if number % 2:
            path = place(root, number, ".opus")
            soundfile.write(path, soxr.resample(sound, 16_000, 48_000), 48_000, format="OGG", subtype="OPUS")
            return
        left = soxr.resample(sound, 16_000, 44_100)
        stereo = np.stack([left, 0.7 * np.roll(left, 20)], axis=1)
        soundfile.write(place(root, number, ".flac"), stereo, 44_100, subtype="PCM_16")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, range(2 * n_each)))
    write_transcripts(root)


def write_utterances(root: Path, count: int) -> None:
    """Write `count` utterances of 5 to 15 s, 16 kHz mono FLAC, of the synthesiser's voices."""
    voices = [speech(15.0, seed) for seed in range(VOICES)]
    lengths_s = np.random.default_rng(SEED).uniform(5.0, 15.0, count)
    for number, seconds in enumerate(lengths_s):
        sound = np.roll(voices[number % VOICES], 997 * number)[: int(seconds * voice.RATE_HZ)]
        soundfile.write(place(root, number, ".flac"), sound, voice.RATE_HZ, subtype="PCM_16")
    write_transcripts(root)


def write_archive(home: Path, archive: Path, count: int) -> int:
    """Write a .tar.gz of `count` FLAC files of about 100 kB with GNU tar; return the bytes of its members.

    Every sixtieth file is the same sound again, too far apart for gzip to see.
    """
    tree = home / "made"
    distinct = 60
    for number in range(count):
        path = place(tree / "mls", number, ".flac")
        if number < distinct:
            soundfile.write(path, noise(3.6, SEED + number), 16_000, subtype="PCM_16")
        else:
            shutil.copyfile(place(tree / "mls", number % distinct, ".flac"), path)
    write_transcripts(tree / "mls")
    size = sum(path.stat().st_size for path in itertools.chain(tree.rglob("*.flac"), tree.rglob("*.txt")))
    archive.parent.mkdir(parents=True, exist_ok=True)
    shell(f"tar -czf '{archive}' mls", tree)
    shutil.rmtree(tree)
    return size
