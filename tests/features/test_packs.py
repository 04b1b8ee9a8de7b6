import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.disk.files import Scratch
from earmark.disk.hashing import HashMemo, hash_bytes
from earmark.errors import AbsentError, DiskFullError, ModelError
from earmark.features import packs
from earmark.features.pack_index import PackIndex
from earmark.features.packs import PackError, PackWriter, pack_damage, read_features, verify_pack

N_STATE = 8
CHUNK = {"frames": 1500}  # of the packs written here


def names_of(n, seed=0):
    return [hash_bytes(b"%d/%d" % (seed, i)) for i in range(n)]


def noise(rows, seed=0, n_state=N_STATE):
    return np.random.default_rng(seed).normal(0, 3, (rows, n_state)).astype(np.float32)


def write(
    folder, name="a.zarr", n_frames=(40, 1, 70), seed=0, splits=(), dtype="float32", hashes=None, attributes=None
):
    """Write a pack of noise, appended in the given pieces, and return its path and frames."""
    frames = noise(sum(n_frames), seed)
    hashes = hashes or names_of(len(n_frames), seed)
    scratch = Scratch(folder / "tmp")
    with PackWriter(
        folder / "packs",
        name,
        hashes,
        n_frames,
        N_STATE,
        dtype,
        attributes or {"encoder": "x"},
        scratch,
        CHUNK["frames"],
    ) as writer:
        for piece in np.split(frames, sorted(splits)):
            writer.append(piece)
    return folder / "packs" / name, frames


def left(folder):
    """Return what is in the packs folder and in the scratch folder."""
    return [path.name for part in ("packs", "tmp") if (folder / part).is_dir() for path in (folder / part).iterdir()]


@pytest.fixture
def small_shards(monkeypatch):
    """Make shards of two chunks of ten frames, so that boundaries are crossed often."""
    monkeypatch.setitem(CHUNK, "frames", 10)
    monkeypatch.setattr(packs, "SHARD_BYTES", 2 * 10 * N_STATE * 4)


# Each example writes below its own folder, so sharing one tmp_path among examples is harmless.
SHARED = [HealthCheck.function_scoped_fixture]


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=SHARED)
@given(data=st.data(), n_frames=st.lists(st.integers(1, 45), min_size=1, max_size=6))
def test_plain_zarr_reads_back_exactly_what_was_appended_in_any_pieces(tmp_path_factory, small_shards, data, n_frames):
    total = sum(n_frames)
    splits = data.draw(st.lists(st.integers(0, total), max_size=6))
    path, frames = write(tmp_path_factory.mktemp("pack"), n_frames=n_frames, splits=splits)
    group = zarr.open_group(path, mode="r")
    assert group["frames"].dtype == np.float32
    np.testing.assert_array_equal(group["frames"][:], frames)
    assert group["offsets"].dtype == np.int64
    assert group["offsets"][:].tolist() == [0, *np.cumsum(n_frames).tolist()]
    assert group["audio_hash"].dtype == np.uint8
    assert [bytes(row).hex() for row in group["audio_hash"][:]] == names_of(len(n_frames))
    assert verify_pack(path) == []
    assert pack_damage(path) is None


@pytest.mark.parametrize("total", [1, 9, 10, 11, 19, 20, 21, 40, 41])
def test_chunk_and_shard_boundaries_lose_nothing(tmp_path, small_shards, total):
    path, frames = write(tmp_path, n_frames=[total])
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["frames"][:], frames)
    shards = list((path / "frames" / "c").rglob("0"))
    assert len([shard for shard in shards if shard.is_file()]) == -(-total // 20)
    assert left(tmp_path) == ["a.zarr"]


def test_chunks_lie_one_after_another_so_that_a_reader_can_map_them(tmp_path, small_shards):
    path, frames = write(tmp_path, n_frames=[40])
    mapped = np.memmap(path / "frames" / "c" / "1" / "0", np.float32, mode="r", shape=(20, N_STATE))
    np.testing.assert_array_equal(mapped, frames[20:])


def test_silent_frames_are_stored_like_any_other(tmp_path, small_shards):
    with PackWriter(
        tmp_path / "packs",
        "a.zarr",
        names_of(1),
        [40],
        N_STATE,
        "float16",
        {},
        Scratch(tmp_path / "tmp"),
        CHUNK["frames"],
    ) as writer:
        writer.append(np.zeros((40, N_STATE), np.float32))
    path = tmp_path / "packs" / "a.zarr"
    assert (path / "frames" / "c" / "0" / "0").stat().st_size > 20 * N_STATE * 2
    assert not zarr.open_group(path, mode="r")["frames"][:].any()


def test_a_pack_is_a_handful_of_files_with_its_attributes(tmp_path, small_shards):
    path, _ = write(tmp_path, attributes={"encoder": "tiny-0123abcd", "versions": {"zarr": "3"}}, n_frames=[40])
    assert sum(entry.is_file() for entry in path.rglob("*")) <= 12
    group = zarr.open_group(path, mode="r")
    assert dict(group.attrs) == {"encoder": "tiny-0123abcd", "versions": {"zarr": "3"}}
    assert sorted(name for name, _ in group.arrays()) == ["audio_hash", "frames", "offsets"]  # and no warning


def test_a_shard_of_ordinary_size_is_chunked_by_thirty_seconds(tmp_path):
    path, frames = write(tmp_path, n_frames=[1600, 1600])
    array = zarr.open_group(path, mode="r")["frames"]
    assert array.chunks == (1500, N_STATE)
    assert array.shards == (4500, N_STATE)
    np.testing.assert_array_equal(array[1400:1700], frames[1400:1700])


def test_shards_are_near_128_mib_whatever_the_width(tmp_path):
    for n_state, dtype in ((384, "float16"), (512, "float16"), (1280, "float32")):
        writer = PackWriter(
            tmp_path, "a.zarr", names_of(1), [2_000_000], n_state, dtype, {}, Scratch(tmp_path / "tmp"), 1500
        )
        assert writer._shard_frames % 1500 == 0
        assert 100 << 20 < writer._shard_frames * n_state * packs.ITEM_BYTES[dtype] <= 128 << 20


def test_float16_is_rounded_to_the_nearest(tmp_path):
    path, frames = write(tmp_path, dtype="float16")
    stored = zarr.open_group(path, mode="r")["frames"]
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored[:], frames.astype(np.float16))


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (
            1e5,
            "float16",
            r'frame 2: does not fit in float16: expected at most 65,504, got 100,000\. Set codec = "float32"',
        ),
        (-7e4, "float16", r"frame 2: does not fit in float16: expected at most 65,504, got 70,000"),
        (np.nan, "float32", r"frame 2: the encoder gave NaN or infinity"),
        (np.inf, "float16", r"frame 2: the encoder gave NaN or infinity"),
    ],
)
def test_a_value_that_cannot_be_stored_names_its_recording_and_leaves_nothing(tmp_path, value, dtype, message):
    hashes = names_of(3)
    frames = noise(50)
    frames[22, 3] = value
    with (
        pytest.raises(ModelError, match=f"^recording {hashes[1]}: {message}"),
        PackWriter(
            tmp_path / "packs",
            "a.zarr",
            hashes,
            [20, 10, 20],
            N_STATE,
            dtype,
            {},
            Scratch(tmp_path / "tmp"),
            CHUNK["frames"],
        ) as writer,
    ):
        writer.append(frames[:15])
        writer.append(frames[15:])
    assert left(tmp_path) == []


@pytest.mark.parametrize("rows", [0, 49, 51])
def test_too_few_or_too_many_rows_make_no_pack(tmp_path, rows):
    with (
        pytest.raises(AssertionError, match="rows"),
        PackWriter(
            tmp_path / "packs",
            "a.zarr",
            names_of(1),
            [50],
            N_STATE,
            "float16",
            {},
            Scratch(tmp_path / "tmp"),
            CHUNK["frames"],
        ) as writer,
    ):
        writer.append(noise(rows))
    assert left(tmp_path) == []


def test_a_pack_that_exists_is_never_written_again(tmp_path):
    path, frames = write(tmp_path)
    with pytest.raises(PackError, match=r"a\.zarr: there already, and a pack never changes"):
        write(tmp_path, seed=1)
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["frames"][:], frames)
    assert left(tmp_path) == ["a.zarr"]


class Stop(BaseException):  # as a Ctrl-C would come
    pass


@pytest.mark.parametrize(
    "step",
    [
        "earmark.features.packs.hash_file",
        "earmark.features.packs.json.dumps",
        "earmark.disk.files.flush",
        "pathlib.Path.replace",
    ],
)
def test_a_writer_stopped_at_any_step_leaves_nothing(tmp_path, monkeypatch, step):
    def stop(*_, **__):
        raise Stop

    frames = noise(50)
    with pytest.raises(Stop), monkeypatch.context() as patched:
        writer = PackWriter(
            tmp_path / "packs",
            "a.zarr",
            names_of(1),
            [50],
            N_STATE,
            "float16",
            {},
            Scratch(tmp_path / "tmp"),
            CHUNK["frames"],
        )
        with writer:
            writer.append(frames)
            patched.setattr(step, stop)
    assert left(tmp_path) == []
    path, _ = write(tmp_path)
    assert verify_pack(path) == []


CHILD = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
import zarr
from earmark.disk import files
from earmark.features import packs
from earmark.disk.files import Scratch

home, how = Path(sys.argv[1]), sys.argv[2]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

writer = packs.PackWriter(home / "packs", "a.zarr", ["0" * 32], [9000], 512, "float16", {}, Scratch(home / "tmp"), 1500)
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
if how == "renaming":
    files.flush = die
try:
    with writer:
        for part in range(9):
            writer.append(np.ones((1000, 512), np.float32))
            if how == "appending" and part == 5:
                die()
        if how == "sealing":
            packs.hash_file = die
except files.DiskFullError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["appending", "sealing", "renaming"])
def test_a_killed_writer_leaves_no_pack(tmp_path, moment):
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), moment], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert not (tmp_path / "packs").exists() or not os.listdir(tmp_path / "packs")


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), "full"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert "a.zarr: disk full or file size limit reached: 9,216,024 bytes needed" in line
    assert left(tmp_path) == []


def test_a_pack_that_cannot_fit_is_refused_before_anything_is_encoded(tmp_path):
    writer = PackWriter(
        tmp_path / "packs", "a.zarr", names_of(1), [10**13], 512, "float16", {}, Scratch(tmp_path), 1500
    )
    with pytest.raises(DiskFullError, match=r"^a\.zarr: disk full: 10,240,"), writer:
        pass
    assert left(tmp_path) == []


def test_damage_of_size_shows_without_reading_the_frames(tmp_path):
    path, _ = write(tmp_path)
    shard = path / "frames" / "c" / "0" / "0"
    os.truncate(shard, 100)
    assert pack_damage(path) == "frames/c/0/0 is truncated or overwritten: expected 48,020 bytes, got 100"
    assert verify_pack(path) == [pack_damage(path)]
    shard.unlink()
    assert pack_damage(path) == "frames/c/0/0 is missing"
    assert pack_damage(tmp_path / "b.zarr") == "is not there"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"n": 1}', '{"files": {"a": 1}}', "\udcff", '{"n": null, "files": {}}']
)
def test_a_damaged_seal_is_damage(tmp_path, content):
    path, _ = write(tmp_path)
    (path / "seal.json").write_text(content, errors="surrogateescape")
    assert pack_damage(path) == "seal.json is damaged"
    assert verify_pack(path) == ["seal.json is damaged"]
    (path / "seal.json").unlink()
    assert pack_damage(path) == "seal.json is missing"


def flip(path, at=50):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["frames/c/0/0", "offsets/c/0", "audio_hash/c/0/0", "zarr.json", "frames/zarr.json"])
def test_a_flipped_bit_shows_in_a_full_check_alone(tmp_path, name):
    path, _ = write(tmp_path, n_frames=[3] * 8)
    flip(path / name)
    assert pack_damage(path) is None
    (fault,) = verify_pack(path)
    assert fault.startswith(f"{name} has other content: expected xxh3 ")


def reseal(path):
    """Seal a pack again as it is, so that only its structure can be wrong."""
    seal = json.loads((path / "seal.json").read_text())
    for name, entry in seal["files"].items():
        entry.update(size=(path / name).stat().st_size, xxh3=packs.hash_file(path / name))
    (path / "seal.json").write_text(json.dumps(seal))


def test_wrong_structure_under_a_good_seal_is_found(tmp_path):
    path, _ = write(tmp_path, n_frames=[3] * 4)
    group = zarr.open_group(path, mode="r+")
    for name, value, fault in (
        ("offsets", [0, 6, 3, 9, 12], "offsets: expected to rise from 0 to 12"),
        ("audio_hash", np.ones((4, 16), np.uint8), "audio_hash: the same hash twice"),
    ):
        good = group[name][:]
        group[name][:] = value
        reseal(path)
        assert verify_pack(path) == [fault]
        group[name][:] = good
    reseal(path)
    assert verify_pack(path) == []
    (path / "frames" / "stray").touch()
    assert verify_pack(path) == ["frames/stray is not in the seal"]


def test_one_recording_is_read_by_pack_and_row(tmp_path):
    path, frames = write(tmp_path, n_frames=[40, 1, 70])
    for row, (start, stop) in enumerate([(0, 40), (40, 41), (41, 111)]):
        np.testing.assert_array_equal(read_features(path.parent, "a.zarr", row), frames[start:stop])
    for row in (-1, 3):
        with pytest.raises(PackError, match=rf"a\.zarr: no such row: expected 0 to 2, got {row}\."):
            read_features(path.parent, "a.zarr", row)
    (path / "frames" / "c" / "0" / "0").unlink()
    with pytest.raises(PackError, match=r"a\.zarr: frames/c/0/0 is missing\. Run doit features"):
        read_features(path.parent, "a.zarr", 0)
    assert np.isnan(zarr.open_group(path, mode="r")["frames"][:]).all()  # never mistaken for silence


@pytest.fixture
def index(tmp_path):
    (tmp_path / "receipts").mkdir()  # what is around the folders of encoders: by it a damaged index is known as ours
    opened = PackIndex(tmp_path)
    yield opened
    opened.close()


def test_the_index_finds_what_packs_hold_and_nothing_else(tmp_path, index):
    write(tmp_path, "a.zarr", n_frames=[5, 6, 7])
    assert index.find(names_of(3)) == {}
    assert not (tmp_path / "index.db").exists()  # looking makes no file
    assert index.sync() == []
    expected = {name: ("a.zarr", row, 5 + row) for row, name in enumerate(names_of(3))}
    assert index.find([*names_of(3), hash_bytes(b"unknown")]) == expected
    path, _ = write(tmp_path, "b.zarr", n_frames=[9], seed=1)
    assert index.find(names_of(1, seed=1)) == {}
    index.add(path)
    index.add(path)  # once more changes nothing
    assert index.find(names_of(1, seed=1)) == {names_of(1, seed=1)[0]: ("b.zarr", 0, 9)}
    assert index.find([]) == {}


def test_many_hashes_are_found_in_batches(tmp_path, index):
    many = names_of(1200)
    write(tmp_path, n_frames=[1] * 1200, hashes=many)
    index.sync()
    assert index.find(many) == {name: ("a.zarr", row, 1) for row, name in enumerate(many)}


def test_of_two_packs_with_a_hash_the_first_by_name_is_found_whatever_the_order(tmp_path, index):
    shared = names_of(1)
    b, _ = write(tmp_path, "b.zarr", n_frames=[5], hashes=shared, seed=1)
    index.add(b)
    assert index.find(shared)[shared[0]] == ("b.zarr", 0, 5)
    a, _ = write(tmp_path, "a.zarr", n_frames=[5], hashes=shared, seed=2)
    index.add(a)
    assert index.find(shared)[shared[0]] == ("a.zarr", 0, 5)
    a.rename(tmp_path / "elsewhere")
    assert index.sync() == []
    assert index.find(shared)[shared[0]] == ("b.zarr", 0, 5)  # the rows of the other pack are not forgotten with it


def test_a_vanished_pack_is_dropped_and_found_again_when_back(tmp_path, index):
    a, _ = write(tmp_path, "a.zarr")
    write(tmp_path, "b.zarr", seed=1)
    index.sync()
    a.rename(tmp_path / "elsewhere")
    assert index.sync() == []
    assert index.find(names_of(3)) == {}
    assert len(index.find(names_of(3, seed=1))) == 3
    (tmp_path / "elsewhere").rename(a)
    index.sync()
    assert len(index.find(names_of(3))) == 3


def test_another_pack_under_an_old_name_replaces_what_was_known(tmp_path, index):
    a, _ = write(tmp_path, "a.zarr")
    index.sync()
    a.rename(tmp_path / "elsewhere")
    write(tmp_path, "a.zarr", seed=1)
    index.sync()
    assert index.find(names_of(3)) == {}
    assert len(index.find(names_of(3, seed=1))) == 3


def test_a_damaged_pack_is_set_aside_and_reported(tmp_path, index):
    for attempt in range(2):
        a, _ = write(tmp_path, "a.zarr")
        b, _ = write(tmp_path, f"b{attempt}.zarr", seed=1, n_frames=[3] * 8)
        if attempt:
            index.sync()
        os.truncate(a / "frames" / "c" / "0" / "0", 10)
        if not attempt:
            flip(b / "audio_hash" / "c" / "0" / "0")
        lines = index.sync()
        assert lines[0] == "pack a.zarr: frames/c/0/0 is truncated or overwritten: expected 48,020 bytes, got 10"
        assert [line[:55] for line in lines[1:]] == [
            "pack b0.zarr: audio_hash/c/0/0 has other content: expect"[:55]
        ] * (not attempt)
        assert index.find(names_of(3)) == {}
        assert index.sync() == []
    assert sorted(os.listdir(tmp_path / "damaged")) == ["a.zarr", "a.zarr.2", "b0.zarr"]
    assert os.listdir(tmp_path / "packs") == ["b1.zarr"]


def test_adding_a_damaged_pack_says_so(tmp_path, index):
    a, _ = write(tmp_path)
    (a / "seal.json").unlink()
    with pytest.raises(PackError, match=r"a\.zarr: seal\.json is missing\. Run doit features again\.$"):
        index.add(a)


def test_a_deleted_index_costs_a_rescan_only(tmp_path, index):
    write(tmp_path)
    index.sync()
    before = index.find(names_of(3))
    index.close()
    (tmp_path / "index.db").unlink()
    assert index.sync() == []
    assert index.find(names_of(3)) == before


@pytest.mark.parametrize("kind", ["not a database", "torn", "emptied", "other version"])
def test_a_corrupt_index_is_rebuilt(tmp_path, index, kind):
    many = names_of(2000)
    write(tmp_path, n_frames=[1] * 2000, hashes=many)
    index.sync()
    before = index.find(many)
    index.close()
    file = tmp_path / "index.db"
    if kind == "other version":
        database = sqlite3.connect(file)
        database.execute("drop table held")
        database.execute("pragma user_version = 99")
        database.close()
    else:
        whole = file.read_bytes()
        damaged = {
            "not a database": b"junk" * 5000,
            "torn": whole[:4096] + b"\xff" * (len(whole) - 4096),
            "emptied": b"",
        }
        file.write_bytes(damaged[kind])
    assert index.sync() == []
    assert index.find(many) == before


def test_an_index_that_turns_out_corrupt_while_reading_is_rebuilt_there(tmp_path, index):
    many = names_of(20_000)
    write(tmp_path, n_frames=[1] * 20_000, hashes=many)
    index.sync()
    index.close()
    file = tmp_path / "index.db"
    whole = file.read_bytes()
    file.write_bytes(whole[: 8 * 4096] + b"\xff" * (len(whole) - 8 * 4096))
    assert len(index.find(many)) == 20_000


@pytest.mark.parametrize(
    "change",
    [
        "update held set row = 1 - row",
        "update held set n_frames = n_frames + 1",
        "update held set pack = 2",
        "update held set hash = zeroblob(16) where row = 0",
        "update packs set name = 'b.zarr' where name = 'a.zarr'",
        "update packs set seal = 'f' || substr(seal, 2)",
        "update held set row = cast(x'ff' as text)",
        "update packs set name = cast(x'ff2e7a617272' as text) where name = 'a.zarr'",
    ],
)
def test_an_index_in_which_anything_was_changed_leads_to_the_features_that_packs_hold(tmp_path, index, change):
    hashes = names_of(2)
    write(tmp_path, n_frames=[3, 4])
    index.sync()
    expected = index.find(hashes)
    assert len(expected) == 2
    index.close()
    with sqlite3.connect(tmp_path / "index.db") as database:
        database.execute(change)
    database.close()
    index.sync()
    found = index.find(hashes)
    assert found.items() <= expected.items()
    assert found == expected or "zeroblob" in change  # one that is not found is encoded again, not wrongly


@pytest.mark.parametrize("change", ["delete from held where row = 0", "delete from held", "update packs set n = n + 1"])
def test_an_index_that_lost_entries_is_made_again_before_anything_is_encoded_twice(tmp_path, index, change):
    write(tmp_path, n_frames=[3, 4])
    index.sync()
    expected = index.find(names_of(2))
    index.close()
    with sqlite3.connect(tmp_path / "index.db") as database:
        database.execute(change)
    database.close()
    index.sync()
    assert index.find(names_of(2)) == expected


def test_all_entries_of_an_index_are_compared_where_that_is_asked(tmp_path, index):
    assert index.faults() == []
    write(tmp_path, n_frames=[3, 4])
    index.sync()
    expected = index.find(names_of(2))
    assert index.faults() == []
    index.close()
    with sqlite3.connect(tmp_path / "index.db") as database:
        database.execute("update held set hash = zeroblob(16) where row = 0")
    database.close()
    assert index.faults() == ["an entry of pack a.zarr was changed"]
    assert index.faults() == [] and index.find(names_of(2)) == expected


@pytest.mark.parametrize("name", ["zarr.json", "audio_hash/c/0/0", "offsets/c/0", "frames/zarr.json"])
def test_of_a_pack_that_was_touched_all_but_the_frames_is_read_again(tmp_path, name):
    write(tmp_path, "a.zarr", n_frames=[3, 4])
    path, memo = tmp_path / "packs" / "a.zarr", HashMemo(tmp_path / "memo.db")
    assert pack_damage(path, memo) is None
    status = (path / name).stat()
    data = bytearray((path / name).read_bytes())
    data[-2] ^= 1
    (path / name).write_bytes(data)
    os.utime(path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert pack_damage(path) is None, "by sizes alone"
    assert pack_damage(path, memo).startswith(f"{name} has other content")


def test_an_index_that_cannot_be_opened_is_one_clear_line(tmp_path, index):
    (tmp_path / "index.db").mkdir()
    with pytest.raises(
        PackError, match=r"index\.db: it cannot be used: unable to open database file\. See whether its folder may be"
    ):
        index.sync()


def test_packs_on_a_volume_that_is_not_mounted_are_absent_and_not_gone(tmp_path, index):
    (tmp_path / "packs").symlink_to(tmp_path / "volume" / "packs")
    with pytest.raises(AbsentError, match=r"packs: links to a folder that is not there\. Mount its volume"):
        index.sync()


def test_importing_packs_loads_neither_zarr_nor_numpy():
    code = "import sys, earmark.features.packs; print([m for m in ('numpy', 'zarr') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_writing_and_reading_a_pack_prints_nothing(tmp_path, capfd):
    path, _ = write(tmp_path)
    assert verify_pack(Path(path)) == []
    assert capfd.readouterr() == ("", "")
