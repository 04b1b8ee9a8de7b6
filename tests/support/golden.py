"""A small finished collection kept as text: what a version left on disk, and its sources, made of integers alone.

A golden file has sections, `-- <path> --` for text and `-- <path> zlib base64 --` for bytes: everything that is derived
and cannot be made again to the bit on another machine (packs), or that is to be compared (receipts, tables, manifests).
Recordings are not in it. They are synthesised from integers and written by the standard library, so that every machine
writes the same bytes: sources, the archive (a tar in gzip's stored blocks: no two zlibs compress alike), the standard
audio, which is WAV for the same reason, and the encoder's weights (random.Random's bits are fixed by Python's own tests;
numpy's normal numbers pass through the machine's log).
"""

import base64
import io
import random
import re
import struct
import tarfile
import wave
import zlib
from array import array
from pathlib import Path

import numpy as np

from earmark.encoders.whisper.config import WhisperConfig
from earmark.encoders.whisper.weights import expected_shapes
from support.models import write_config, write_tensors

GOLDEN = Path(__file__).parents[1] / "golden"
RATE_HZ = 16_000
RECORDING_S = 0.4
MODEL = WhisperConfig(n_mels=80, n_audio_ctx=1_500, n_audio_state=16, n_audio_head=2, n_audio_layer=1)

# What is kept: all that is derived, but for what is disposable by contract (doit's state, the memo of hashes, the index
# over packs, the lock, unfinished files).
KEPT = (
    "cache/receipts",
    "cache/members",
    "cache/shards",
    "cache/watch",
    "cache/findings",
    "cache/audio",
    "cache/quarantine",
    "cache/features/*/packs",
    "manifests",
)

CATALOG = """\
[standard]
format = "wav"

[run]
workers = 1

[encoders.small]
model = "model"
engine = "openvino"

[encoders.pitch]
kind = "f0"
codec = "float32"

[datasets.tales]
corpus = "kaldi"
root = "tales"
archives = [{ file = "tales.tar.gz" }]
language = "en"
licence = "CC-BY-4.0"
encoders = ["small", "pitch"]
shard_files = 4
max_bad = 0.5
max_missing = 0.5
disjoint = ["speaker_id"]

[datasets.letters]
corpus = "audiofolder"
archives = [{ file = "letters.zip" }]
language = "de"
encoders = ["small"]

[manifests.both]
datasets = ["tales", "letters"]

[jobs.words]
datasets = ["tales", "letters"]
labels = ["text"]
features = ["small"]
"""

# dataset -> split -> id -> seed of its sound. Two recordings of one seed are the same audio; 0 is a file without a byte,
# None a label without a file. Those in STEREO have two channels, of which the standard audio is the mean.
RECORDINGS = {
    "tales": {
        "train": {"ann-1": 1, "ann-2": 2, "bob-1": 3, "bob-2": 0, "bob-3": None},
        "dev": {"eve-1": 4, "eve-2": 5},
    },
    "letters": {"train": {"a": 11, "b": 2, "c": 12}},
}
STEREO = {"bob-1", "c"}


def samples(seed: int) -> array:
    """Return a buzz with a period of its own and some noise: 16-bit integers from integers."""
    noise, period = random.Random(seed), 80 + 7 * seed
    values = (abs(n % period - period // 2) * 150 + noise.getrandbits(10) for n in range(int(RECORDING_S * RATE_HZ)))
    return array("h", (value - 3_000 for value in values))


def wav(mono: array, stereo: bool = False) -> bytes:
    """Return a WAV file; a stereo one has channels whose mean is `mono` exactly."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2 if stereo else 1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        pairs = (side for value in mono for side in (value - 40, value + 40))
        sound.writeframes(struct.pack(f"<{(1 + stereo) * len(mono)}h", *(pairs if stereo else mono)))
    return file.getvalue()


def tree(dataset: str) -> dict[str, bytes]:
    """Return the files of a dataset's tree below its root: Kaldi directories, or a folder with metadata.csv."""
    files = {}
    for split, recordings in RECORDINGS[dataset].items():
        lines = {"wav.scp": "", "text": "", "utt2spk": ""}
        table = "file_name,text,speaker_id\n"
        for name, seed in recordings.items():
            lines["wav.scp"] += f"{name} {name}.wav\n"
            lines["text"] += f"{name} THE WORDS OF {name.upper()}\n"
            lines["utt2spk"] += f"{name} {name.split('-')[0]}\n"
            table += f"{name}.wav,die Worte von {name},{name}\n"
            if seed is not None:
                files[f"{split}/{name}.wav"] = wav(samples(seed), name in STEREO) if seed else b""
        labels = lines if dataset == "tales" else {"metadata.csv": table}
        files |= {f"{split}/{name}": text.encode() for name, text in labels.items()}
    return files


def standard(dataset: str) -> dict[str, bytes]:
    """Return the standard audio of a dataset below its folder."""
    return {
        f"{split}/{name}.wav": wav(samples(seed))
        for split, recordings in RECORDINGS[dataset].items()
        for name, seed in recordings.items()
        if seed
    }


def archive() -> bytes:
    """Return the archive of `tales`: the same bytes whatever zlib is here."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in sorted(tree("tales").items()):
            entry = tarfile.TarInfo(f"tales/{path}")
            entry.size, entry.mtime = len(data), 1_500_000_000
            tar.addfile(entry, io.BytesIO(data))
    return stored_gzip(file.getvalue())


def stored_gzip(data: bytes) -> bytes:
    """Return a gzip file that holds bytes as they are. Source: RFC 1951, 3.2.4 (stored blocks); RFC 1952, 2.3."""
    blocks = [data[at : at + 0xFFFF] for at in range(0, len(data), 0xFFFF)]
    body = b"".join(
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + body + struct.pack("<II", zlib.crc32(data), len(data))


def write_integer_model(folder: Path) -> None:
    """Write a Whisper encoder whose weights are integers divided by a power of two."""
    write_config(folder, MODEL)
    bits, tensors = random.Random(1), {}
    for name, shape in expected_shapes(MODEL).items():
        count = int(np.prod(shape))
        values = np.array([bits.getrandbits(8) - 128 for _ in range(count)], np.float32).reshape(shape) / 1024
        tensors[name] = values + np.float32("ln" in name and name.endswith("weight"))
    write_tensors(folder / "weights.safetensors", tensors)


def write_sources(home: Path, *, extracted: bool) -> None:
    """Write catalog, model, the archive of `tales` and the tree of `letters`; with `extracted`, also its tree."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "datasets.toml").write_text(CATALOG, "utf-8")
    write_integer_model(home / "model")
    trees = {"data/letters": tree("letters")} | ({"data/tales/tales": tree("tales")} if extracted else {})
    for below, files in trees.items():
        write_files(home / below, files)
    write_files(home / "data/tales", {"tales.tar.gz": archive()})


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def restore(golden: Path, home: Path) -> None:
    """Write a finished collection: its sources and standard audio, made again, and what the golden file holds."""
    write_sources(home, extracted=True)
    for dataset in RECORDINGS:
        write_files(home / "data" / "standard" / dataset, standard(dataset))
    write_files(home, parse(golden.read_text("utf-8")))


SECTION = re.compile(r"^-- (\S+)( zlib base64)? --\n", re.MULTILINE)


def dump(files: dict[str, bytes]) -> str:
    """Return files as the text of a golden file; JSON and its like as they are, everything else packed."""
    sections = []
    for path, data in sorted(files.items()):
        if path.endswith((".json", ".jsonl", ".txt")) and (not data or data.endswith(b"\n")):
            sections.append(f"-- {path} --\n{data.decode()}")
        else:
            packed = base64.b64encode(zlib.compress(data, 9)).decode()
            lines = (packed[at : at + 120] for at in range(0, len(packed), 120))
            sections.append(f"-- {path} zlib base64 --\n" + "".join(f"{line}\n" for line in lines))
    return "".join(sections)


def parse(text: str) -> dict[str, bytes]:
    """Return the files of a golden file."""
    _, *parts = SECTION.split(text)
    sections = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {
        path: zlib.decompress(base64.b64decode(body)) if packed else body.encode() for path, packed, body in sections
    }


def kept(home: Path) -> dict[str, bytes]:
    """Return what a golden file is to hold of a finished collection."""
    folders = (folder for pattern in KEPT for folder in home.glob(pattern))
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in files}
