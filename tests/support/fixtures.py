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
`text <words>` (these bytes, no sound); `tone ..., 5 streams` is an MP4 with that many audio streams after a picture's,
`sphere ...` NIST SPHERE under any name. A table (.parquet, .arrow) holds one JSON object a row, in which the text
`{"audio": {"bytes": "tone 0.1 s, 16000 Hz, 1 ch, flac", "path": "x.flac"}}` becomes sound. Every other file holds its
lines as they stand, with CRLF where its section is called `<path> crlf`.
"""

import io
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import xxhash

SECTION = re.compile(r"^-- (.+) --$")
TONE = re.compile(r"^(tone|sphere) (\d+(?:\.\d+)?) s, (\d+) Hz, (\d+) ch(?:, (\w+|\d+ streams))?$")
FORMATS = {  # extension -> libsndfile format and subtype
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".sph": ("NIST", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".wav": ("WAV", "PCM_16"),
}
MEDIA = (".aac", ".flv", ".m4a", ".mp4", ".webm")  # what FFmpeg writes
TABLES = (".arrow", ".parquet")
GROUP_ROWS = 2  # rows in a group of a table, so that a small one has several
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
        target = folder / path.removesuffix(" crlf")
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = target.suffix.lower()
        if path.endswith(" crlf"):
            target.write_bytes(content.replace("\n", "\r\n").encode())
        elif suffix in TABLES:
            _write_table(target, [json.loads(line) for line in content.splitlines()])
        elif suffix in FORMATS or suffix in MEDIA:
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
        kind, duration_s, rate_hz, n_channels, more = match.groups()
        form = ".sph" if kind == "sphere" else path.suffix.lower()
        n_streams = int(more.split()[0]) if more else 1
        path.write_bytes(tone(path.name, float(duration_s), int(rate_hz), int(n_channels), form, n_streams))
    else:
        raise ValueError(f"{path}: expected a tone, empty, or text, got {line!r}")


def _write_table(path: Path, rows: list) -> None:
    import pyarrow
    import pyarrow.parquet

    for row in rows:
        audio = row.get("audio")
        if audio and audio.get("bytes"):
            kind, duration_s, rate_hz, n_channels, form = TONE.match(audio["bytes"]).groups()
            name = audio["path"] or str(row)
            audio["bytes"] = tone(name, float(duration_s), int(rate_hz), int(n_channels), f".{form}")
    table = pyarrow.Table.from_pylist(rows)
    if "audio" in table.schema.names:  # also where no row has bytes
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        at = table.schema.get_field_index("audio")
        table = table.set_column(at, "audio", pyarrow.array([row["audio"] for row in rows], kind))
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=GROUP_ROWS)
        return
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        for batch in table.to_batches(max_chunksize=GROUP_ROWS):
            writer.write(batch)


def write_tone(path: Path, duration_s: float, rate_hz: int, n_channels: int = 1) -> None:
    """Write sine tones in the format of the extension; pitch from the file's name, each channel a third higher."""
    path.write_bytes(tone(path.name, duration_s, rate_hz, n_channels, path.suffix))


def tone(name: str, duration_s: float, rate_hz: int, n_channels: int, form: str, n_streams: int = 1) -> bytes:
    """Return sine tones as the bytes of a file; pitch from a name, each channel a third higher, each stream louder."""
    pitch_hz = LOWEST_HZ + xxhash.xxh3_64_intdigest(name.encode()) % RANGE_HZ
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitches_hz = pitch_hz * 1.25 ** np.arange(n_channels)
    samples = AMPLITUDE * np.sin(2 * np.pi * time_s[:, None] * pitches_hz)  # (n_samples, n_channels)
    file = io.BytesIO()
    if form in MEDIA:
        _write_media(file, form, samples, rate_hz, n_streams)
    else:
        container, subtype = FORMATS[form]
        soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def _write_media(file: io.BytesIO, form: str, samples: np.ndarray, rate_hz: int, n_streams: int) -> None:
    """Write an FFmpeg container; one of several streams begins with a picture, as Native Instruments Stems do."""
    import av

    containers = {".aac": "adts", ".m4a": "ipod", ".flv": "flv", ".webm": "webm"}
    with av.open(file, "w", format=containers.get(form, "mp4")) as media:
        if n_streams > 1:
            picture = media.add_stream("mpeg4", rate=1)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
        layout = "stereo" if samples.shape[1] == 2 else "mono"
        codec = "libopus" if form == ".webm" else "aac"
        streams = [media.add_stream(codec, rate=rate_hz, layout=layout) for _ in range(n_streams)]
        if n_streams > 1:
            for packet in [*picture.encode(av.VideoFrame(16, 16, "yuv420p")), *picture.encode(None)]:
                media.mux(packet)
        for number, stream in enumerate(streams):
            louder = (samples.T * (1 + number) / n_streams).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(louder), format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                media.mux(packet)
