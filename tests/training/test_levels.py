"""How loud a recording is, and which defects it has, decides on its rows in a job that asks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.policy import Policy
from earmark.audio.table import BadAudio, GoodAudio, dump_row
from earmark.catalog.tables import JobTable
from earmark.disk.hashing import hash_bytes
from earmark.errors import JobError
from earmark.rows import SPLITS
from earmark.training import manifest_row
from earmark.training.jobs import write_job
from earmark.training.selection import JobDataset, refusal, refused_level

LEVELS = {
    "well": {"rms": 0.05, "clipped": 0.0, "silence": 0.1},
    "quiet": {"rms": 10 ** (-71 / 20), "clipped": 0.0, "silence": 0.2},
    "distorted": {"rms": 0.5, "clipped": 0.4, "silence": 0.0},
    "empty": {"rms": 0.01, "clipped": 0.0, "silence": 0.95},
    "nothing": {"rms": 0.0, "clipped": 0.0, "silence": 1.0},
}


def audio(name, number=0):
    return GoodAudio(
        path=f"{name}{number}.wav", source_hash="0" * 32, audio_hash=hash_bytes(f"{name} {number}".encode()),
        n_samples=16_000, source_rate_hz=16_000, source_channels=1, decoder="x", peak=0.5, dc=0.0, policy=Policy(),
        **LEVELS[name],
    )  # fmt: skip


def row_of(found, split="train"):
    return {
        "id": found.path, "audio_path": found.path, "audio_hash": found.audio_hash, "duration": 1.0,
        "sample_rate": 16_000, "dataset": "a", "split": split,
    }  # fmt: skip


def run(folder, tables, rows, **asked):
    """Write a job over one dataset of these tables; return its summary and the ids that it took."""
    paths = []
    for number, table in enumerate(tables):
        paths.append(folder / f"{number:04}.jsonl")
        paths[-1].write_bytes(b"".join(map(dump_row, table)))
    (folder / "a.jsonl").write_bytes(b"".join(map(manifest_row.dump_row, rows)))
    out = {split: folder / f"out-{split}" for split in SPLITS}
    dataset = JobDataset("a", (folder / "a.jsonl",), tables=tuple(paths))
    summary = write_job("x", JobTable(datasets=("a",), **asked), [dataset], out, lambda _: None)
    taken = [line.split(b'"')[3].decode() for line in out["train"].read_bytes().splitlines()]
    return summary, taken


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        ({}, {}),
        ({"min_rms_db": -60}, {"quiet": "too quiet", "nothing": "too quiet"}),
        ({"max_clipped": 0.1}, {"distorted": "clipped"}),
        ({"max_silence": 0.9}, {"empty": "too much silence", "nothing": "too much silence"}),
        ({"max_silence": 1.0, "max_clipped": 1.0}, {}),
    ],
    ids=str,
)
def test_each_limit_leaves_out_what_it_names_and_the_summary_says_how_many(tmp_path, asked, left_out):
    tables = [[audio("well"), audio("quiet")], [audio("distorted"), audio("empty"), audio("nothing")]]
    found = [one for table in tables for one in table]
    summary, taken = run(tmp_path, tables, map(row_of, found), **asked)
    assert taken == [one.path for one in found if one.path[:-5] not in left_out]
    counts = dict(summary.left_out.get("a", {}))
    assert counts == {why: list(left_out.values()).count(why) for why in left_out.values()}


@settings(deadline=None, max_examples=40)
@given(
    names=st.lists(st.sampled_from(sorted(LEVELS)), min_size=1, max_size=12),
    kept=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_file_of_one_split_meets_each_recordings_own_levels(tmp_path_factory, names, kept):
    folder = tmp_path_factory.mktemp("levels")
    found = [audio(name, number) for number, name in enumerate(names)]
    bad = BadAudio("bad.wav", "0" * 32, "empty", "", "", Policy())
    rows = [row_of(one) for one, keep in zip(found, kept, strict=False) if keep]
    wanted = [one.path for one, keep in zip(found, kept, strict=False) if keep and one.rms >= 0.001]
    if not wanted:
        return
    _, taken = run(folder, [[bad, *found[:3]], [*found[3:], bad]], rows, min_rms_db=-60)
    assert taken == wanted


def test_levels_of_another_version_of_the_audio_are_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(JobError, match=r"well1\.wav: its levels are not in the tables .* `doit manifest:a`"):
        run(tmp_path, [[audio("well")]], [row_of(audio("well", 1))], min_rms_db=-60)


def test_a_level_at_the_limit_is_taken():
    edge = audio("well")
    for asked in ({"max_clipped": 0.0}, {"max_silence": 0.1}, {"min_rms_db": -26.03}):
        assert refused_level(JobTable(datasets=("a",), **asked), edge) == ""


@pytest.mark.parametrize(
    ("keep", "defects", "reason"),
    [
        (False, ["opposite phase: x"], "defects"),
        (True, ["opposite phase: x"], ""),
        (["opposite phase"], ["opposite phase: x"], ""),
        (["opposite phase"], ["opposite phase: x", "digital silence"], "defects"),
        (["opposite phase", "digital silence"], ["digital silence", "opposite phase: y"], ""),
        (["shorter than its header"], ["shorter than its header: 0.068 s"], ""),
        (["noise"], ["noise"], ""),
        ([], ["noise"], "defects"),
    ],
)
def test_defects_are_kept_by_their_kinds(keep, defects, reason):
    job = JobTable(datasets=("a",), keep_defects=keep)
    assert refusal(job, JobDataset("a", ()), row_of(audio("well")) | {"defects": defects}) == reason
