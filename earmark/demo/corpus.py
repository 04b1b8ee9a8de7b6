"""A small synthetic corpus and an untrained encoder, so that every stage runs without any download.

The corpus has LibriSpeech's layout in one .tar.gz; its sound comes from the synthesiser in `voice`, and its text is the
words that the synthesiser was given. The bytes depend on machine and library versions alone; elsewhere a sample may
differ by one step of rounding.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from earmark.demo.voice import HOP, PEAK, Speaker, synthesise, targets_of
from earmark.disk.files import Scratch, publishing, remove
from earmark.disk.hashing import HashMemo, hash_file
from earmark.errors import ModelError
from earmark.rates import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MODEL_SEAL = "seal.json"  # hashes of the files of a demo model by name
SEED = 1980
PCM_STEPS = 32_768  # int16 steps for an amplitude of 1
BACKGROUND_DBFS = -62.0  # white noise of the room: digital silence between words would be unlike any recording
SHORTEST_S, LONGEST_SHORT_S = 1.5, 9.5
# Longer than an encoder's window of 30 s, by name: 2 windows, 2, and 3.
LONG_S = {"90001-900011-0003": 33.0, "90003-900032-0002": 41.0, "90005-900051-0004": 62.0}
BROKEN = "90002-900022-0005"  # its file is cut short, so that the demo shows what quarantine is
LICENCE = "Made by a program from nothing; no rights are claimed in it: CC0 1.0 Universal.\n"
README = f"""LibriSpeech's layout, none of its recordings: a synthesiser made the sound, a word list the text.
The file {BROKEN}.flac is cut short on purpose; every other file is whole.
"""
SPEAKERS = (
    Speaker(90001, "F", "train-clean-100", "Ada Formant", 212.0, -22.0, (900011, 900012), 6),
    Speaker(90002, "M", "train-clean-100", "Bruno Glottis", 118.0, -24.0, (900021, 900022), 6),
    Speaker(90003, "M", "train-clean-100", "Carl Cascade", 96.0, -20.0, (900031, 900032), 6),
    Speaker(90004, "F", "dev-clean", "Dora Declination", 228.0, -26.0, (900041,), 8),
    Speaker(90005, "M", "test-clean", "Emil Envelope", 136.0, -23.0, (900051,), 8),
)
# By kind, each word with its phones as ARPAbet names them, as the synthesiser can say them.
WORDS = {
    "determiner": {"A": "AH", "THE": "DH AH", "HER": "HH ER", "OUR": "AA UH ER"},
    "adjective": {"BLUE": "B L UW", "GOOD": "G UH D", "GREEN": "G R IY N", "RED": "R EH D", "TALL": "T AO L"},
    "noun": {
        "BIRD": "B ER D", "BOOK": "B UH K", "CAT": "K AE T", "DOG": "D AO G", "FATHER": "F AA DH ER",
        "FISH": "F IH SH", "HOUSE": "HH AA UH S", "LEAF": "L IY F", "MOON": "M UW N", "MOTHER": "M AH DH ER",
        "NIGHT": "N AA IH T", "RIVER": "R IH V ER", "SEA": "S IY", "SHIP": "SH IH P", "SUN": "S AH N",
        "WALL": "W AO L", "WOOD": "W UH D",
    },
    "verb": {"FOUND": "F AA UH N D", "HEARD": "HH ER D", "LEFT": "L EH F T", "LOVED": "L AH V D", "SAW": "S AO"},
    "place": {"BY": "B AA IH", "NEAR": "N IH R", "OVER": "AO UH V ER", "UNDER": "AH N D ER"},
    "link": {"AND": "SIL AE N D"},
}  # fmt: skip
PHONES = {word: tuple(phones.split()) for kind in WORDS.values() for word, phones in kind.items()}
# The shape of Whisper-tiny; the decoder's figures are what readers of config.json expect to find.
TINY = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 384,
    "n_audio_head": 6,
    "n_audio_layer": 4,
    "n_vocab": 51_865,
    "n_text_ctx": 448,
    "n_text_state": 384,
    "n_text_head": 6,
    "n_text_layer": 4,
}
BIAS_SCALE = 0.02  # standard deviation of biases


def write_corpus(archive: Path, scratch: Scratch) -> None:
    """Write the corpus as one .tar.gz: 52 utterances of 5 speakers in 3 splits, one FLAC cut short on purpose.

    Raises DiskFullError.
    """
    files = corpus_files()  # 7 MB: small enough to be in memory at once
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents} - {"."}
    with (
        publishing(archive, scratch, needed=sum(map(len, files.values()))) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(folders | files.keys()):
            member = tarfile.TarInfo(name)  # its defaults are fixed: owner 0, time 0
            if name in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            else:
                member.size, member.mode = len(files[name]), 0o644
                tar.addfile(member, io.BytesIO(files[name]))


def corpus_files() -> dict[str, bytes]:
    """Return every file of the corpus by its name in the archive."""
    files: dict[str, bytes] = {}
    speakers, chapters = ["; id | sex | subset | minutes | name"], ["; id | reader | minutes | subset | four more"]
    for speaker in SPEAKERS:
        total_s = 0.0
        for chapter in speaker.chapters:
            stem = f"{speaker.number}-{chapter}"
            folder = f"LibriSpeech/{speaker.split}/{speaker.number}/{chapter}"
            lines, chapter_s = [], 0.0
            for index in range(speaker.n_utterances):
                name = f"{stem}-{index:04d}"
                text, samples = utterance(name, speaker)
                flac = flac_bytes(samples)
                files[f"{folder}/{name}.flac"] = flac[: len(flac) // 2] if name == BROKEN else flac
                lines.append(f"{name} {text}\n")
                chapter_s += len(samples) / RATE_HZ
            files[f"{folder}/{stem}.trans.txt"] = "".join(lines).encode()
            facts = (chapter, speaker.number, f"{chapter_s / 60:.2f}", speaker.split, 0, 0, "A walk", "Earmark's demo")
            chapters.append(" | ".join(map(str, facts)))
            total_s += chapter_s
        facts_of_speaker = (speaker.number, speaker.sex, speaker.split, f"{total_s / 60:.2f}", speaker.name)
        speakers.append(" | ".join(map(str, facts_of_speaker)))
    files["LibriSpeech/SPEAKERS.TXT"] = ("\n".join(speakers) + "\n").encode()
    files["LibriSpeech/CHAPTERS.TXT"] = ("\n".join(chapters) + "\n").encode()
    files["LibriSpeech/README.TXT"] = README.encode()
    files["LibriSpeech/LICENSE.TXT"] = LICENCE.encode()
    return files


def utterance(name: str, speaker: Speaker) -> tuple[str, NDArray[np.int16]]:
    """Return the text and the samples (n,) int16 at 16 kHz of one utterance; both depend on its name alone."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64([SEED, *map(int, name.split("-"))]))
    # short ones far more often than long ones, as in corpora of read speech
    target_s = LONG_S.get(name, SHORTEST_S + (LONGEST_SHORT_S - SHORTEST_S) * random.random() ** 3)
    words: list[str] = []
    for phrase in phrases(random):
        words += phrase
        if duration_s(phones_of(words)) >= target_s:
            break
    sound = synthesise(phones_of(words), speaker, random)
    gain = 10 ** (speaker.level_dbfs / 20) / np.sqrt(np.mean(sound**2))
    room = 10 ** (BACKGROUND_DBFS / 20) * random.standard_normal(len(sound))
    sound = sound * min(gain, PEAK / np.abs(sound).max()) + room
    return " ".join(words), np.rint(sound * PCM_STEPS).astype(np.int16)


def phrases(random: np.random.Generator) -> Iterator[list[str]]:
    """Yield the phrases of an endless sentence, which may end after any: who, saw whom, where, and who, ..."""
    for opening in itertools.chain([""], itertools.cycle(("verb", "place", "link"))):
        kinds = ["determiner", "adjective", "noun"] if random.random() < 0.5 else ["determiner", "noun"]
        yield [str(random.choice(list(WORDS[kind]))) for kind in ([opening] if opening else []) + kinds]


def phones_of(words: Iterable[str]) -> list[str]:
    """Return the phones of some words between two silences."""
    return ["SIL", *(phone for word in words for phone in PHONES[word]), "SIL"]


def duration_s(phones: Iterable[str]) -> float:
    """Return how long some phones last, in seconds."""
    return sum(target.n_frames for phone in phones for target in targets_of(phone, "M")) * HOP / RATE_HZ


def flac_bytes(samples: NDArray[np.int16]) -> bytes:
    """Return samples as a FLAC file of 16 kHz, mono, 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=0.5)
    return file.getvalue()


def write_model(folder: Path, scratch: Scratch) -> None:
    """Write an untrained Whisper-tiny as MLX lays it out: config.json and weights.safetensors, encoder tensors only.

    Its features have the right shape and no meaning. Replaces an earlier demo model and nothing else. Raises ModelError
    where `folder` contains something else, DiskFullError.
    """
    check_replaceable(folder)
    weights = safetensors_bytes(untrained_tensors(encoder_shapes(TINY)))
    config = json.dumps({**TINY, "untrained": True}, indent=1) + "\n"
    with publishing(folder, scratch, needed=len(weights)) as temporary:
        temporary.mkdir()
        (temporary / "config.json").write_text(config, encoding="utf-8")
        (temporary / "weights.safetensors").write_bytes(weights)
        seal = {path.name: hash_file(path) for path in sorted(temporary.iterdir())}
        (temporary / MODEL_SEAL).write_text(json.dumps(seal, indent=1) + "\n", encoding="utf-8")
        remove(folder)  # a folder is never renamed over one that is not empty


def is_as_written(folder: Path, memo: HashMemo) -> bool:
    """Say whether a demo model is as it was written; one of an earlier version, without a seal, counts as that.

    A damaged one would give an encoder of another identity, whose features are those of damaged weights.
    """
    try:
        seal: dict[str, str] = json.loads((folder / MODEL_SEAL).read_bytes())
        return all(memo.hash_file(folder / name) == xxh3 for name, xxh3 in seal.items())
    except FileNotFoundError:
        return (folder / "config.json").is_file() and not (folder / MODEL_SEAL).exists()
    except (OSError, ValueError, AttributeError):
        return False


def _has_seal(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return set(json.loads((folder / MODEL_SEAL).read_bytes()).keys()) == {"config.json", "weights.safetensors"}
    return False


def check_replaceable(folder: Path) -> None:
    """Raise ModelError unless `folder` is absent, empty or an earlier demo model: never write over real weights."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())) or _has_seal(folder):
        return
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        config = None
    if not (isinstance(config, dict) and config.get("untrained") is True):
        raise ModelError(
            f'{folder}: not a demo model: expected "untrained": true in its config.json, got something else.'
            " Choose another folder, or move this one away."
        )


# Written again, not taken from the encoder's own list: encoders import the demo, to write this model, and so not the
# other way round. A list that is wrong fails at once, as the encoder refuses its weights.
def encoder_shapes(config: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each encoder tensor; linear weights are (out, in), convolutions (out, width, in).

    Source: the names of mlx_whisper's AudioEncoder. Positions are computed, not stored; keys have no bias.
    """
    state = config["n_audio_state"]
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (state, 3, config["n_mels"]),
        "conv1.bias": (state,),
        "conv2.weight": (state, 3, state),
        "conv2.bias": (state,),
        "ln_post.weight": (state,),
        "ln_post.bias": (state,),
    }
    for block in range(config["n_audio_layer"]):
        linear = {f"attn.{part}": (state, state) for part in ("query", "key", "value", "out")}
        linear |= {"mlp1": (4 * state, state), "mlp2": (state, 4 * state)}
        for name, shape in linear.items():
            shapes[f"blocks.{block}.{name}.weight"] = shape
            if name != "attn.key":
                shapes[f"blocks.{block}.{name}.bias"] = shape[:1]
        for name in ("attn_ln", "mlp_ln"):
            shapes |= {f"blocks.{block}.{name}.{part}": (state,) for part in ("weight", "bias")}
    return {f"encoder.{name}": shape for name, shape in sorted(shapes.items())}


def untrained_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[np.float16]]:
    """Return seeded tensors: weights of variance 1 / fan-in, so that no layer amplifies its input, and small biases."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64(SEED))
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith(("_ln.weight", "ln_post.weight")):
            tensor = np.ones(shape, np.float32)
        else:
            scale = np.prod(shape[1:]) ** -0.5 if name.endswith(".weight") else BIAS_SCALE
            tensor = random.standard_normal(shape, np.float32) * np.float32(scale)
        tensors[name] = tensor.astype(np.float16)
    return tensors


def safetensors_bytes(tensors: dict[str, NDArray[np.float16]]) -> bytes:
    """Return float16 tensors in the safetensors container; written here, as the library for it is no dependency.

    Format: header length as little-endian uint64, a JSON header padded with spaces to 8 bytes, the data end to end.
    """
    header, data = {}, bytearray()
    for name, tensor in tensors.items():
        start = len(data)
        data += tensor.astype("<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(data)
