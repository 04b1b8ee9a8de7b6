"""Formats: each is told by its content and read in full, and what is damaged in it is named."""

import bz2
import gc
import gzip
import hashlib
import io
import lzma
import os
import struct
import subprocess
import tarfile
import zipfile
import zlib

import pytest
from support.archive_samples import FEW, FORMATS, NOISE, Place, contents, pack, tar_bytes, tar_entry, zip_bytes

from earmark.archives import staging, unpack
from earmark.archives.tars import tar_members
from earmark.archives.unpack import Archive, ArchiveFile, HashingReader
from earmark.errors import DiskFullError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.tar", "x"])
@pytest.mark.parametrize("kind", FORMATS)
def test_format_is_told_by_content_not_by_name(place, kind, name):
    place.extract(pack(FEW, kind), name)
    assert contents(place.tree) == FEW


def test_several_streams_and_trailing_bytes_are_read_and_summed(place):
    tar = pack(FEW)
    for number, codec in enumerate([gzip.compress, bz2.compress, lzma.compress]):
        data = codec(tar[:700]) + codec(tar[700:]) + bytes(512) + b"trailing garbage"
        sums = {"md5": hashlib.md5(data).hexdigest()}
        made = place.extract(data, folder=place.home / str(number), sums=sums, ignores_rest=True)
        assert contents(place.home / str(number)) == FEW and made.archive_size == len(data)


def test_zip_links_are_made_and_mac_names_are_utf8(place):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("caf\u00e9/a.txt", b"a")
        link = zipfile.ZipInfo("caf\u00e9/l")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "a.txt")
    data = buffer.getvalue().replace(b"\x00\x08", b"\x00\x00")  # the flag that says that names are UTF-8
    place.extract(data)
    assert place.rows()[1] == {"path": "caf\u00e9/l", "link": "a.txt"}
    assert (place.tree / "caf\u00e9/l").read_bytes() == b"a"


def test_a_zip_name_in_another_code_page_is_the_one_of_its_unicode_field(place):
    name, local = "x/\u4e2d\u6587.wav", "x/\u4e2d\u6587.wav".encode("gbk")
    field = struct.pack("<BI", 1, zlib.crc32(local)) + name.encode()
    info = zipfile.ZipInfo("x" * len(local))
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(info, b"sound")
    place.extract(buffer.getvalue().replace(b"x" * len(local), local))
    assert contents(place.tree) == {name: b"sound"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("encoding", ["cp932", "gbk"])
def test_names_in_an_encoding_that_the_archive_does_not_state_are_read_in_that_of_the_catalog(place, kind, encoding):
    name = "\u4e2d\u6587/a.wav"
    local = name.encode(encoding)
    stand_in = "x" * len(local)
    if kind == "zip":
        data = zip_bytes({stand_in: b"sound"}).replace(stand_in.encode(), local)
    else:
        entry = tarfile.TarInfo(stand_in)
        entry.size = 5
        block = bytearray(entry.tobuf(tarfile.USTAR_FORMAT).replace(stand_in.encode(), local))
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        data = bytes(block) + b"sound".ljust(512, b"\0") + bytes(1024)
    place.extract(data, names=encoding)
    assert contents(place.tree) == {name: b"sound"}


def test_backslashes_of_a_zip_from_windows_are_folders(place):
    data = bytearray(zip_bytes({"a\\b\\x.wav": b"sound"}))
    data[data.find(b"PK\1\2") + 5] = 0  # made on MS-DOS
    place.extract(bytes(data))
    assert contents(place.tree) == {"a/b/x.wav": b"sound"}


def test_a_name_that_is_no_utf8_leads_to_the_option_that_keeps_it(place):
    entry = tar_entry("f\udce9.wav", b"x")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(*entry)
    place.refuses(buffer.getvalue(), r"not Unicode.*`names` of the archive in the catalog")
    place.extract(buffer.getvalue(), names="latin-1")
    assert contents(place.tree) == {"f\u00e9.wav": b"x"}


NOT_READ = {
    "7z": b"7z\xbc\xaf\x27\x1c\0\4",
    "rar": b"Rar!\x1a\x07\1\0",
    "lz4": b"\4\x22\x4d\x18",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_not_read_is_named_with_what_to_do(place, name):
    place.refuses(NOT_READ[name] + bytes(600), rf"{name}.*(`7z x`|`git lfs pull`)")


def sparse_tar(claimed):
    """A GNU sparse tar of one block of data that claims to be a file of so many bytes."""
    header = bytearray(512)
    fields = {0: b"s.wav", 100: b"0000644\0", 124: b"%011o\0" % 512, 136: b"%011o\0" % 0, 156: b"S", 257: b"ustar  \0"}
    fields |= {386: b"%011o\0" % 0, 398: b"%011o\0" % 512, 483: b"\x80" + claimed.to_bytes(11, "big"), 148: b" " * 8}
    for at, value in fields.items():
        header[at : at + len(value)] = value
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512 + bytes(1024)


def test_a_small_archive_that_claims_terabytes_is_refused_before_it_fills_the_disk(place):
    with pytest.raises(DiskFullError, match="4,000,000,000,000 bytes needed"):
        place.extract(sparse_tar(4 * 10**12))
    assert contents(place.tree) == {}


def test_the_holes_of_a_sparse_member_that_nobody_reads_are_not_read():
    blocks = iter([sparse_tar(1 << 60)])
    assert [member.size for member in tar_members(blocks, ends_known=True, rest="padding")] == [1 << 60]


def test_an_extraction_stops_before_the_volume_is_full(place, monkeypatch):
    monkeypatch.setattr(staging, "LOOK_BYTES", 1000)
    monkeypatch.setattr(staging, "RESERVE_BYTES", 1 << 62)
    with pytest.raises(DiskFullError, match="extracting"):
        place.extract(pack(FEW))
    assert contents(place.tree) == {}


def test_sparse_members_arrive_dense(place, tmp_path):
    (tmp_path / "s").write_bytes(b"head")
    os.truncate(tmp_path / "s", 3_000_000)
    subprocess.run(["tar", "-cSf", tmp_path / "s.tar", "-C", tmp_path, "s"], check=True)
    place.extract((tmp_path / "s.tar").read_bytes())
    assert (place.tree / "s").read_bytes() == b"head" + bytes(2_999_996)


def test_encrypted_and_unsupported_zip_members_are_refused_by_name(place):
    data = bytearray(zip_bytes({"s.wav": b"secret"}, zipfile.ZIP_STORED))
    at = data.index(b"PK\1\2")
    locked, odd = bytearray(data), bytearray(data)
    locked[at + 8] |= 1
    odd[at + 10] = 99
    place.refuses(bytes(locked), "'s.wav': encrypted")
    place.refuses(bytes(odd), "'s.wav': packed in a way")


@pytest.mark.parametrize("declared", [1999, 2001])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_member_of_another_length_than_declared_is_named(place, declared, method):
    data = bytearray(zip_bytes({"s.wav": b"s" * 2000}, method))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = declared.to_bytes(4, "little")
    place.refuses(bytes(data), "damaged at member 's.wav' .* another length: expected")


def test_what_is_no_archive_is_said_in_one_line(place):
    place.refuses(None, "x.archive: no such archive")
    place.refuses(b"", "the file is empty")
    place.refuses(b"<!DOCTYPE html><p>please log in", "a web page")
    place.refuses(b"RIFF____WAVEfmt ", "expected tar, gzip, bzip2, xz, zstd or zip, got bytes 52 49")
    place.refuses(gzip.compress(b"no tar in here" * 99), "damaged|header")
    place.refuses(bytes(10240), "holds no members")


def test_damaged_header_inside_a_tar_is_not_taken_for_its_end(place):
    data = bytearray(pack(NOISE))
    at = data.index(b"n/5.wav")
    for damage in (b"\xff" * 8, bytes(512)):
        bad = data[:at] + damage + data[at + len(damage) :]
        place.refuses(bytes(bad), "damaged after member 'n/4.wav' .5 members.")


def test_zip_directory_that_lost_members_is_found(place):
    data = bytearray(pack(NOISE, "zip"))
    third = [at for at in range(len(data)) if data.startswith(b"PK\1\2", at)][2]
    data[third + 32] = 53  # the length of its comment, which now swallows the next member's entry
    place.refuses(bytes(data), "its zip directory is altered: expected 8 members, got 7")


@pytest.mark.slow
def test_zip_with_more_members_than_its_old_count_holds_is_read_in_full(place):
    names = [f"{number % 200}/{number}" for number in range(65_600)]
    place.home.joinpath("x.archive").write_bytes(zip_bytes(dict.fromkeys(names, b""), zipfile.ZIP_STORED))
    assert [member.name for member in members_of(place.home / "x.archive")] == names


def members_of(path):
    archive = Archive((ArchiveFile(path),))
    return unpack.read_archive(archive, HashingReader(archive.files), lambda n_bytes: None)


def living():
    return sum(isinstance(thing, tarfile.TarInfo) for thing in gc.get_objects())


def test_members_already_passed_are_not_kept_in_memory(place):
    (place.home / "x.archive").write_bytes(tar_bytes(*(tar_entry(f"s{n // 100}/{n}", b"n") for n in range(2000))))
    alive = []
    gc.collect()
    before = living()
    for number, _ in enumerate(members_of(place.home / "x.archive")):
        if number % 500 == 499:
            alive.append(living() - before)
    assert len(alive) == 4 and max(alive) <= 3
