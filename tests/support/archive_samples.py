"""Small archives of every format, and a folder to extract them in."""

import bz2
import gzip
import io
import itertools
import json
import lzma
import random
import struct
import sys
import tarfile
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from earmark.archives.unpack import Archive, ArchiveFile, extract_archive
from earmark.disk.files import Scratch
from earmark.errors import ArchiveError

SPLIT_MARK = b"PK\7\10"  # what a split zip's first file begins with (APPNOTE 8.5.3)
FORMATS = ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"]


def zstd_compress(data):
    """Return Zstandard with the checksum that the `zstd` program writes."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


PACK = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, 1, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstd_compress,
}

FEW = {
    "a/one.wav": b"one" * 700,
    "a/two.wav": b"",
    "b/three words.txt": "drei Wörter".encode(),
    "b/c/four": bytes(3000),
}


def tar_entry(name, data=b"", kind=tarfile.REGTYPE, target="", **more):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mtime = len(data), kind, target, 1_500_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info, io.BytesIO(data)


def tar_bytes(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, data)
    return buffer.getvalue()


def zip_bytes(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in files.items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6)), data, method)
    return buffer.getvalue()


def pack(files, kind="tar"):
    if kind == "zip":
        return zip_bytes(files)
    return PACK[kind](tar_bytes(*(tar_entry(name, data) for name, data in files.items())))


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


class Place:
    """A folder for one archive: where it lies, the tree, the scratch folder, the members file."""

    def __init__(self, home):
        self.home, self.tree, self.tmp = Path(home), Path(home, "tree"), Path(home, "tmp")
        self.members = self.home / "members.jsonl"
        self.staging = self.tmp / "extract-x"

    def extract(
        self,
        data=None,
        name="x.archive",
        folder=None,
        on_bytes=lambda n: None,
        memo=None,
        parts=(),
        others=(),
        **published,
    ):
        """`parts` are the files before the last; `published` is size, sums, nested and skip."""
        path = self.home / name
        if data is not None:
            path.write_bytes(data)
        of_file = {key: published.pop(key) for key in ("size", "sums") if key in published}
        return extract_archive(
            Archive((*parts, ArchiveFile(path, **of_file)), **published),
            folder or self.tree,
            self.members,
            scratch=Scratch(self.tmp),
            staging_name="x",
            on_bytes=on_bytes,
            memo=memo,
            others=others,
        )

    def rows(self):
        return [json.loads(line) for line in self.members.read_bytes().splitlines()]

    def refuses(self, data, match, before=None, **source):
        with pytest.raises(ArchiveError, match=match) as caught:
            self.extract(data, **source)
        assert "\n" not in str(caught.value)
        assert contents(self.tree) == (before or {}) and not self.staging.exists()
        assert not [thread for thread in threading.enumerate() if thread.name == "archive-reader"]


@contextmanager
def fresh_place():
    with tempfile.TemporaryDirectory() as home:
        yield Place(home)


NOISE = {f"n/{n}.wav": random.Random(n).randbytes(3000) for n in range(8)}

PACKED = {kind: pack(NOISE, kind) for kind in FORMATS}


def split(data, cuts):
    """Cut a zip at `cuts` shares of its members' data; places are counted from the file that a member begins in."""
    end = len(data) - 22
    n_members, directory_bytes, directory = struct.unpack("<HII", data[end + 10 : end + 20])
    body, entries = SPLIT_MARK + data[:directory], bytearray(data[directory:end])
    edges = [0, *sorted({max(len(SPLIT_MARK), int(cut * len(body))) for cut in cuts}), len(body)]
    edges = sorted(set(edges))
    pieces = [body[start:stop] for start, stop in itertools.pairwise(edges)]
    at = 0
    while at < len(entries):
        name, extra, comment = struct.unpack("<HHH", entries[at + 28 : at + 34])
        offset = struct.unpack("<I", entries[at + 42 : at + 46])[0] + len(SPLIT_MARK)
        disk = max(number for number, edge in enumerate(edges[:-1]) if edge <= offset)
        entries[at + 34 : at + 36] = struct.pack("<H", disk)
        entries[at + 42 : at + 46] = struct.pack("<I", offset - edges[disk])
        at += 46 + name + extra + comment
    last = len(pieces) - 1
    start = len(pieces[-1])
    record = struct.pack("<4sHHHHIIH", b"PK\5\6", last, last, n_members, n_members, directory_bytes, start, 0)
    return [*pieces[:-1], pieces[-1] + bytes(entries) + record]
