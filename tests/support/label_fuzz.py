"""Label files damaged in the ways that label files get damaged, in the trees of the readers' fixtures.

A trial is a fixture and a seed: one to three mutations of its label files, then the reader. What may come out is
recordings, findings, or one line of an error that is about the files; never another exception, and never a label that
breaks the schema, which would be a mistake of the reader.
"""

import os
import random
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import orjson

from earmark import corpora
from earmark.corpora import ReaderOptions, Recording
from earmark.errors import EarmarkError
from support.fixtures import FORMATS, MEDIA, TABLES, parse, unpack

PATIENCE_S = 20  # a trial takes milliseconds: what takes this long waits for something
ODD = [
    b"", b" ", b"nan", b"inf", b"-inf", b"-1", b"1e999", b"0x10", b"9" * 5000, b"\x00", b"\xff\xfe", b"\xc3", b"None",
    b"a" * 300, b"b/" * 200, b"../../x", b"/etc/passwd", b"x" * 200_000, b'"', b'""', b'"x', b"'", b"|", b"{", b"[",
    b"null", b"true", b"{}", b"[]", b'{"a": 1}', b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b"1e400", b"-0", b"1.5",
    b"\x1b[2J", b"\xc2\x85", b"\xef\xbb\xbf", b"\xe2\x80\xa8", "é".encode("cp1252"), "café".encode("utf-16"), b"\r",
    b"\x1a", b"#", b";", b"%s", b"$(x)", b"con", b".", b"..", b"a.wav", b"\xf0\x9f\x98\x80", b"2147483648", b"1_000",
    "٣".encode(), "²".encode(),
]  # fmt: skip
SEPARATORS = (b"\t", b",", b" ", b"|", b"_", b"-", b'"', b":")


class Hang(BaseException):
    """A trial that waits: no Exception, so that no reader can swallow it."""


class Tree:
    """The tree of a fixture on the disk, its sounds empty files, to be damaged and mended again and again."""

    def __init__(self, path, folder):
        self.fixture = parse(path.read_text("utf-8"))
        self.name, self.folder = path.stem, folder
        unpack_without_sound(path.read_text("utf-8"), folder)
        names = [name.removesuffix(" crlf") for name in self.fixture.files]
        # Parquet and Arrow are left as they are: pyarrow may crash on a damaged one, and would end the tests with it.
        spared = (*FORMATS, *MEDIA, *TABLES)
        self.labels = [name for name in names if Path(name).suffix.lower() not in spared]
        self.whole = {name: (folder / name).read_bytes() for name in self.labels}

    def read(self):
        """Return what the reader yields."""
        table = self.fixture.catalog
        options = ReaderOptions(language=table.get("language"), options=table.get("options", {}))
        return list(corpora.read(table["corpus"], self.folder / table.get("root", "."), options))

    def mend(self):
        """Put back what a trial has damaged."""
        for name, data in self.whole.items():
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
            path.write_bytes(data)


def unpack_without_sound(text, folder):
    """Write the tree of a fixture, its sounds as files without a byte: a reader decodes none."""
    fixture = parse(text)
    tables = [path for path in fixture.files if Path(path).suffix.lower() in TABLES]
    for path, content in fixture.files.items():
        target = folder / path.removesuffix(" crlf")
        target.parent.mkdir(parents=True, exist_ok=True)
        is_sound = target.suffix.lower() in (*FORMATS, *MEDIA)
        data = content.replace("\n", "\r\n") if path.endswith(" crlf") else content
        target.write_bytes(b"" if is_sound else data.encode())
    if tables:
        sections = "".join(f"-- {path} --\n{fixture.files[path]}" for path in tables)
        unpack(sections, folder)


def trial(tree, seed):
    """Damage a tree and read it; return the words of what came out, or raise what must not come out."""
    chance = random.Random(f"{tree.name} {seed}")
    try:
        for _ in range(chance.randint(1, 3)):
            if tree.labels:
                damage(tree.folder / chance.choice(tree.labels), chance)
        with patience():
            items = tree.read()
    except EarmarkError as error:
        said = str(error)
        # the words of `_reading` for what a reader did not foresee, and for a label that its schema does not have
        assert "got another shape" not in said or ":" in said.split("got another shape")[0], said
        assert not said.startswith("reader "), said
        assert "\n" not in said or "\n" in str(tree.folder), said
        return "error"
    finally:
        tree.mend()
    for item in items:
        orjson.dumps(
            [item.id, item.path, dict(item.labels)] if isinstance(item, Recording) else [item.path, item.detail]
        )
    return "findings" if any(item.__class__ is corpora.Finding for item in items) else "recordings"


@contextmanager
def patience():
    """Raise Hang where the block takes far too long."""

    def give_up(_number, _frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damage(path, chance):
    """Change one label file, or put something else in its place."""
    if not path.is_file():
        return
    data = path.read_bytes()
    kind = chance.choice(KINDS)
    new = kind(data, chance)
    if new is not None:
        path.write_bytes(new)
        return
    path.unlink()
    match chance.randrange(4):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to("nowhere")


def flipped(data, chance):
    """Flip some bits."""
    raw = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if raw:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw)


def cut(data, chance):
    """Cut a file anywhere, or a piece out of it."""
    at = chance.randint(0, len(data))
    return data[:at] + (data[chance.randint(at, len(data)) :] if chance.random() < 0.5 else b"")


def other_lines(data, chance):
    """Drop, double, swap or join lines."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case 3:
            lines[first] = lines[first].rstrip(b"\r\n")
    return b"".join(lines)


def other_field(data, chance):
    """Put something odd in place of a field of a line, or beside it."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    number = chance.randrange(len(lines))
    separator = chance.choice([mark for mark in SEPARATORS if mark in lines[number]] or [b" "])
    fields = lines[number].rstrip(b"\r\n").split(separator)
    at = chance.randrange(len(fields))
    odd = chance.choice(ODD)
    fields[at : at + chance.randrange(2)] = [odd]
    lines[number] = separator.join(fields) + b"\n"
    return b"".join(lines)


def other_value(data, chance):
    """Put something odd in place of a value of JSON, anywhere in a line of it."""
    lines = data.splitlines(keepends=True)
    for number in chance.sample(range(len(lines)), len(lines)):
        try:
            value = orjson.loads(lines[number])
        except ValueError:
            continue
        lines[number] = orjson.dumps(_changed(value, chance)) + b"\n"
        return b"".join(lines)
    try:
        return orjson.dumps(_changed(orjson.loads(data), chance))
    except ValueError:
        return other_field(data, chance)


def _changed(value, chance):
    shapes = [None, True, -1, 0, 1.5, 2**62, "", "x", "\x00", "a" * 300, [], {}, [[]], [None], {"a": None}, "1", "-1"]
    if chance.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return chance.choice(shapes)
    if isinstance(value, list):
        at = chance.randrange(len(value))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    key = chance.choice(sorted(value))
    if chance.random() < 0.2:
        return {name: item for name, item in value.items() if name != key}
    return value | {key: _changed(value[key], chance)}


def inserted(data, chance):
    """Insert something odd anywhere."""
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(ODD) + data[at:]


def encoded_otherwise(data, chance):
    """Write a file in another encoding, or with other line ends."""
    text = data.decode("utf-8", "replace")
    match chance.randrange(6):
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("cp1252", "replace")
        case 2:
            return b"\xef\xbb\xbf" + data
        case 3:
            return data.replace(b"\n", b"\r")
        case 4:
            return data.replace(b"\n", b"\r\n")
    return data.decode("latin-1").encode()


def replaced(_data, chance):
    """Put something odd in place of the whole file."""
    return chance.choice(ODD) * chance.choice((1, 1, 2))


def gone(_data, _chance):
    """Take the file away."""


KINDS = (
    flipped,
    cut,
    other_lines,
    other_field,
    other_field,
    other_value,
    other_value,
    inserted,
    encoded_otherwise,
    replaced,
    gone,
)
