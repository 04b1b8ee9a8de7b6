"""Text fixtures: a corpus's tree as one small text file (txtar form), sound synthesised from a line.

    free comment lines
    -- LibriSpeech/dev-clean/84/121123/84-121123.trans.txt --
    84-121123-0000 GO DO YOU HEAR
    -- LibriSpeech/dev-clean/84/121123/84-121123-0000.flac --
    tone 0.1 s, 16000 Hz, 1 ch
    -- catalog.toml --            corpus, root, language, options: what the catalog says to the reader
    -- expected.jsonl --          one recording a line: id, path, split and its labels
    -- findings.jsonl --          one finding a line: kind, path, detail

A file with a sound's extension holds one line: `tone <s> s, <rate> Hz, <n> ch`, `empty` (no byte at all), or
`text <words>` (these bytes, no sound). Every other file holds its lines as they stand.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import xxhash

SECTION = re.compile(r"^-- (.+) --$")
TONE = re.compile(r"^tone (\d+(?:\.\d+)?) s, (\d+) Hz, (\d+) ch$")
FORMATS = {  # extension -> libsndfile format and subtype
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".wav": ("WAV", "PCM_16"),
}
SPECIAL = ("catalog.toml", "expected.jsonl", "findings.jsonl")
AMPLITUDE = 0.5  # of full scale
LOWEST_HZ, RANGE_HZ = 200, 1800


@dataclass(frozen=True)
class Fixture:
    """`files` is {path: text}; `expected` and `findings` are the JSON lines as dicts."""

    comment: str
    files: dict
    catalog: dict
    expected: list
    findings: list


def parse(text: str) -> Fixture:
    """Read the text form. Raises ValueError for a path that stands twice, or is absolute or leads out."""
    comment, sections = [], {}
    current = comment
    for line in text.split("\n"):
        if match := SECTION.match(line):
            path = match[1]
            if path in sections or path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path}: a section twice, or a path that leads out")
            current = sections[path] = []
        else:
            current.append(line)
    if current and current[-1] == "":
        current.pop()  # the end of the last line
    texts = {path: "".join(f"{line}\n" for line in lines) for path, lines in sections.items()}
    catalog, expected, findings = (texts.pop(name, "") for name in SPECIAL)
    return Fixture(
        comment="\n".join(comment),
        files=texts,
        catalog=tomllib.loads(catalog),
        expected=[json.loads(line) for line in expected.splitlines()],
        findings=[json.loads(line) for line in findings.splitlines()],
    )


def unpack(text: str, folder: Path) -> Fixture:
    """Write the tree of a fixture below `folder`, synthesise its sound, and return the fixture."""
    fixture = parse(text)
    for path, content in fixture.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix in FORMATS:
            _write_sound(target, content.strip())
        else:
            target.write_bytes(content.encode())
    return fixture


def _write_sound(path: Path, line: str) -> None:
    if line == "empty":
        path.write_bytes(b"")
    elif line.startswith("text "):
        path.write_bytes(line.removeprefix("text ").encode())
    elif match := TONE.match(line):
        write_tone(path, float(match[1]), int(match[2]), int(match[3]))
    else:
        raise ValueError(f"{path}: expected a tone, empty, or text, got {line!r}")


def write_tone(path: Path, duration_s: float, rate_hz: int, n_channels: int = 1) -> None:
    """Write sine tones in the format of the extension; pitch from the file's name, each channel a third higher."""
    pitch_hz = LOWEST_HZ + xxhash.xxh3_64_intdigest(path.name.encode()) % RANGE_HZ
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitches_hz = pitch_hz * 1.25 ** np.arange(n_channels)
    samples = AMPLITUDE * np.sin(2 * np.pi * time_s[:, None] * pitches_hz)  # (n_samples, n_channels)
    container, subtype = FORMATS[path.suffix]
    soundfile.write(path, samples, rate_hz, format=container, subtype=subtype)
