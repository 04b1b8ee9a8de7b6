"""A small made-up corpus and an untrained encoder, so that the whole way of the data runs without any download.

The corpus has LibriSpeech's layout in one .tar.gz; its sound comes from a formant synthesiser after D. H. Klatt,
"Software for a cascade/parallel formant synthesizer", JASA 67 (1980): a train of glottal pulses through a cascade of
resonators, and noise through one broad resonator. The text lists the words that the synthesiser was given.
Same machine and library versions, same bytes; elsewhere a sample may differ by one step of rounding.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from earmark.errors import ModelError
from earmark.files import Scratch, publishing, remove

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SEED = 1980
RATE_HZ = 16_000
HOP = 160  # samples between two settings of the synthesiser: 10 ms
N_FFT = 640  # samples: a window of two hops and 20 ms for the slowest resonance to die away
PCM_STEPS = 32_768  # int16 steps for an amplitude of 1
PEAK = 0.9  # largest amplitude, so that nothing clips
BACKGROUND_DBFS = -62.0  # white noise of the imagined room
EDGE_FRAMES = 20  # silence before and after an utterance
BANDWIDTHS_HZ = (60.0, 90.0, 150.0, 200.0, 250.0)
HIGH_FORMANTS_HZ = (3500.0, 4500.0)  # F4 and F5 of a man
WOMAN_SCALE = 1.17  # a woman's vocal tract is shorter by about this factor
NOISE_BANDWIDTH_HZ = 1200.0
GLOTTIS_HZ = 100.0  # bandwidth of Klatt's glottal low pass: -12 dB an octave, of which radiation gives back 6
BREATH_S = 1.2  # how fast the pitch falls after a pause
VIBRATO_HZ = 5.0

SHORTEST_S, LONGEST_SHORT_S = 1.5, 9.5
LONG_S = {"90001-900011-0003": 33.0, "90003-900032-0002": 41.0, "90005-900051-0004": 62.0}
BROKEN = "90002-900022-0005"
LICENCE = "Made by a program from nothing; no rights are claimed in it: CC0 1.0 Universal.\n"
README = f"""LibriSpeech's layout, none of its recordings: a synthesiser made the sound, a word list the text.
The file {BROKEN}.flac is cut short on purpose; every other file is whole.
"""


@dataclass(frozen=True)
class Speaker:
    """A synthetic voice and what it reads."""

    number: int
    sex: str
    split: str
    name: str
    f0_hz: float
    level_dbfs: float
    chapters: tuple[int, ...]
    n_utterances: int  # a chapter


@dataclass(frozen=True)
class Sound:
    """One steady target: frames of 10 ms, loudness of the two sources, where the noise lies, and F1 to F3 of a man."""

    n_frames: int
    voice: float
    noise: float
    noise_hz: float
    formants_hz: tuple[float, float, float]


SPEAKERS = (
    Speaker(90001, "F", "train-clean-100", "Ada Formant", 212.0, -22.0, (900011, 900012), 6),
    Speaker(90002, "M", "train-clean-100", "Bruno Glottis", 118.0, -24.0, (900021, 900022), 6),
    Speaker(90003, "M", "train-clean-100", "Carl Cascade", 96.0, -20.0, (900031, 900032), 6),
    Speaker(90004, "F", "dev-clean", "Dora Declination", 228.0, -26.0, (900041,), 8),
    Speaker(90005, "M", "test-clean", "Emil Envelope", 136.0, -23.0, (900051,), 8),
)

# Frames, then F1 to F3 of men and of women in Hz: the averages of G. E. Peterson and H. L. Barney, "Control methods
# used in a study of the vowels", JASA 24 (1952), table II. Names as in ARPAbet.
VOWELS = {
    "IY": (13, (270.0, 2290.0, 3010.0), (310.0, 2790.0, 3310.0)),
    "IH": (9, (390.0, 1990.0, 2550.0), (430.0, 2480.0, 3070.0)),
    "EH": (11, (530.0, 1840.0, 2480.0), (610.0, 2330.0, 2990.0)),
    "AE": (14, (660.0, 1720.0, 2410.0), (860.0, 2050.0, 2850.0)),
    "AA": (13, (730.0, 1090.0, 2440.0), (850.0, 1220.0, 2810.0)),
    "AO": (14, (570.0, 840.0, 2410.0), (590.0, 920.0, 2710.0)),
    "UH": (9, (440.0, 1020.0, 2240.0), (470.0, 1160.0, 2680.0)),
    "UW": (13, (300.0, 870.0, 2240.0), (370.0, 950.0, 2670.0)),
    "AH": (9, (640.0, 1190.0, 2390.0), (760.0, 1400.0, 2780.0)),
    "ER": (14, (490.0, 1350.0, 1690.0), (500.0, 1640.0, 1960.0)),
}
SILENCE = Sound(EDGE_FRAMES, 0.0, 0.0, 3000.0, (500.0, 1500.0, 2500.0))
LIPS, TEETH, PALATE = (300.0, 1000.0, 2150.0), (300.0, 1600.0, 2550.0), (300.0, 1990.0, 2850.0)  # where F1 to F3 point
CONSONANTS = {
    "SIL": (SILENCE,),
    "P": (Sound(6, 0.0, 0.0, 900.0, LIPS), Sound(3, 0.0, 0.30, 900.0, LIPS)),
    "B": (Sound(5, 0.15, 0.0, 900.0, LIPS), Sound(1, 0.3, 0.25, 900.0, LIPS)),
    "T": (Sound(6, 0.0, 0.0, 4500.0, TEETH), Sound(3, 0.0, 0.40, 4500.0, TEETH)),
    "D": (Sound(4, 0.15, 0.0, 4500.0, TEETH), Sound(1, 0.3, 0.30, 4500.0, TEETH)),
    "K": (Sound(6, 0.0, 0.0, 2000.0, PALATE), Sound(3, 0.0, 0.40, 2000.0, PALATE)),
    "G": (Sound(5, 0.15, 0.0, 2000.0, PALATE), Sound(2, 0.3, 0.25, 2000.0, PALATE)),
    "F": (Sound(9, 0.0, 0.08, 5500.0, LIPS),),
    "V": (Sound(6, 0.35, 0.05, 5500.0, LIPS),),
    "DH": (Sound(5, 0.35, 0.05, 5000.0, TEETH),),
    "S": (Sound(11, 0.0, 0.25, 6200.0, TEETH),),
    "SH": (Sound(11, 0.0, 0.30, 3000.0, PALATE),),
    "HH": (Sound(6, 0.0, 0.12, 1500.0, SILENCE.formants_hz),),
    "M": (Sound(8, 0.45, 0.0, 1000.0, (260.0, 1000.0, 2200.0)),),
    "N": (Sound(7, 0.45, 0.0, 1000.0, (260.0, 1500.0, 2600.0)),),
    "L": (Sound(7, 0.6, 0.0, 1000.0, (310.0, 1050.0, 2880.0)),),
    "R": (Sound(7, 0.7, 0.0, 1000.0, (310.0, 1060.0, 1380.0)),),
    "W": (Sound(7, 0.5, 0.0, 1000.0, (290.0, 610.0, 2150.0)),),
}
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
BIAS_SCALE = 0.02


def write_corpus(archive: Path, scratch: Scratch) -> None:
    """Write the corpus as one .tar.gz: 52 utterances of 5 speakers in 3 splits, one FLAC cut short on purpose.

    Raises DiskFullError.
    """
    files = corpus_files()
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
    """Return the text and the sound, (samples,) int16 at 16 kHz, of one utterance; both depend on its name alone."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64([SEED, *map(int, name.split("-"))]))
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
    """Yield the parts of an endless sentence, each a good place to stop: who, saw whom, where, and who, ..."""
    for opening in itertools.chain([""], itertools.cycle(("verb", "place", "link"))):
        kinds = ["determiner", "adjective", "noun"] if random.random() < 0.5 else ["determiner", "noun"]
        yield [str(random.choice(list(WORDS[kind]))) for kind in ([opening] if opening else []) + kinds]


def phones_of(words: Iterable[str]) -> list[str]:
    """Return the phones of some words between two silences."""
    return ["SIL", *(phone for word in words for phone in PHONES[word]), "SIL"]


def duration_s(phones: Iterable[str]) -> float:
    """Return how long some phones last, in seconds."""
    return sum(sound.n_frames for phone in phones for sound in sounds_of(phone, "M")) * HOP / RATE_HZ


def sounds_of(phone: str, sex: str) -> tuple[Sound, ...]:
    """Return a phone's targets for a voice: a stop has two, its closure and its burst."""
    if phone in VOWELS:
        n_frames, men_hz, women_hz = VOWELS[phone]
        return (Sound(n_frames, 1.0, 0.0, SILENCE.noise_hz, women_hz if sex == "F" else men_hz),)
    if sex == "M":
        return CONSONANTS[phone]
    scaled = []
    for sound in CONSONANTS[phone]:
        f1, f2, f3 = (WOMAN_SCALE * formant for formant in sound.formants_hz)
        scaled.append(replace(sound, formants_hz=(f1, f2, f3)))
    return tuple(scaled)


def synthesise(phones: Sequence[str], speaker: Speaker, random: np.random.Generator) -> Floats:
    """Return the sound of some phones, (samples,) float64 at 16 kHz, a vowel near an RMS of 1."""
    import numpy as np

    targets = [sound for phone in phones for sound in sounds_of(phone, speaker.sex)]
    rows = np.array([(sound.voice, sound.noise, sound.noise_hz, *sound.formants_hz) for sound in targets])
    frames = np.repeat(rows, [sound.n_frames for sound in targets], axis=0)
    voice = smooth(frames[:, :1], 3)[:, 0]
    formants = smooth(frames[:, 3:], 5)  # the tongue is slower than the vocal folds
    scale = WOMAN_SCALE if speaker.sex == "F" else 1.0
    steady = [np.full(len(frames), scale * formant) for formant in HIGH_FORMANTS_HZ]
    tract = list(zip([*formants.T, *steady], BANDWIDTHS_HZ, strict=True))
    glottis = np.zeros(len(frames))
    pulses = glottal_pulses(voice, frames[:, 0] > 0, speaker.f0_hz, random)
    hiss = random.standard_normal(len(frames) * HOP) * np.repeat(frames[:, 1], HOP)
    return filtered(pulses, [(glottis, GLOTTIS_HZ), *tract]) + filtered(hiss, [(frames[:, 2], NOISE_BANDWIDTH_HZ)])


def smooth(track: Floats, n_frames: int) -> Floats:
    """Return a track, (frames, columns), whose jumps became ramps of about `n_frames` frames."""
    import numpy as np

    kernel = np.hanning(n_frames + 2)[1:-1]
    padded = np.pad(track, ((n_frames // 2, n_frames // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_frames, axis=0)
    return np.asarray(windows @ (kernel / kernel.sum()), dtype=np.float64)


def glottal_pulses(voice: Floats, voiced: NDArray[np.bool_], f0_hz: float, random: np.random.Generator) -> Floats:
    """Return a train of unit-power pulses, (samples,), under the loudness `voice`, (frames,).

    The pitch falls after each pause, trembles with a vibrato of 2 % and, frame by frame, a jitter of 1 %.
    """
    import numpy as np

    n_frames, time_s = len(voice), np.arange(len(voice)) * HOP / RATE_HZ
    silent_for = np.arange(n_frames) - np.maximum.accumulate(np.where(voiced, np.arange(n_frames), 0))
    start_s = np.maximum.accumulate(np.where(silent_for > EDGE_FRAMES // 2, time_s, 0.0))
    fall = 0.88 + 0.26 * np.exp(-(time_s - start_s) / BREATH_S)
    tremble = 1 + 0.02 * np.sin(2 * np.pi * VIBRATO_HZ * time_s) + 0.01 * random.standard_normal(n_frames)
    at = np.arange(n_frames * HOP) / HOP
    pitch_hz = np.interp(at, np.arange(n_frames), f0_hz * fall * tremble)
    phase = np.cumsum(pitch_hz) / RATE_HZ
    last = np.flatnonzero(np.diff(np.floor(phase)))  # a pulse falls between this sample and the next
    share = (np.floor(phase[last + 1]) - phase[last]) / (phase[last + 1] - phase[last])
    power = np.interp(at, np.arange(n_frames), voice)[last] * np.sqrt(RATE_HZ / pitch_hz[last])
    power *= 1 + 0.03 * random.standard_normal(len(last))
    pulses = np.zeros(len(at))
    pulses[last] += (1 - share) * power
    pulses[last + 1] += share * power
    return pulses


def filtered(source: Floats, resonators: Sequence[tuple[Floats, float]]) -> Floats:
    """Return a source, (frames * HOP,), through resonators in cascade and the radiation at the lips.

    Each resonator has a frequency a frame, (frames,), and one bandwidth, in Hz: Klatt (1980), equations 1 and 2, here
    as a response a frame, scaled to unit power, on half-overlapping windows.
    """
    import numpy as np

    n_frames = len(source) // HOP
    delay = np.exp(-2j * np.pi * np.arange(N_FFT // 2 + 1) / N_FFT)  # z^-1 at each bin
    response = np.broadcast_to(1 - delay, (n_frames, len(delay))).copy()
    for frequency_hz, bandwidth_hz in resonators:
        radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
        turn = 2 * radius * np.cos(2 * np.pi * frequency_hz / RATE_HZ)
        response /= 1 + radius**2 * delay**2 - turn[:, None] * delay
    response /= np.sqrt(np.mean(np.abs(response) ** 2, axis=1, keepdims=True))
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * HOP) / HOP)
    padded = np.pad(source, (HOP, 0))
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(padded, (0, HOP)), 2 * HOP)[::HOP][:n_frames]
    rung = np.fft.irfft(np.fft.rfft(pieces * window, N_FFT) * response, N_FFT).reshape(n_frames, -1, HOP)
    out = np.zeros((n_frames + rung.shape[1], HOP))
    for step in range(rung.shape[1]):
        out[step : step + n_frames] += rung[:, step]
    return out[1 : n_frames + 1].reshape(-1)


def flac_bytes(samples: NDArray[np.int16]) -> bytes:
    """Return samples as a FLAC file of 16 kHz, mono, 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=0.5)
    return file.getvalue()


def write_model(folder: Path, scratch: Scratch) -> None:
    """Write an untrained Whisper-tiny as MLX lays it out: config.json and weights.safetensors, encoder tensors only.

    Its features are numbers of the right shape, not of any use. Replaces an earlier demo model and nothing else.
    Raises ModelError where `folder` holds something else, DiskFullError.
    """
    check_replaceable(folder)
    weights = safetensors_bytes(untrained_tensors(encoder_shapes(TINY)))
    config = json.dumps({**TINY, "untrained": True}, indent=1) + "\n"
    with publishing(folder, scratch, needed=len(weights)) as temporary:
        temporary.mkdir()
        (temporary / "config.json").write_text(config, encoding="utf-8")
        (temporary / "weights.safetensors").write_bytes(weights)
        remove(folder)  # a folder is never renamed over one that is not empty


def check_replaceable(folder: Path) -> None:
    """Refuse to write over anything but an empty folder or an earlier demo model; raises ModelError."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        config = None
    if not (isinstance(config, dict) and config.get("untrained") is True):
        raise ModelError(
            f'{folder}: not a demo model: expected "untrained": true in its config.json, got something else.'
            " Choose another folder, or delete this one yourself."
        )


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
    """Return seeded tensors: weights of variance 1 / fan-in, so that no layer blows its input up, and small biases."""
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
    """Return float16 tensors in the safetensors container.

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
