import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.catalog.read import read_catalog
from earmark.catalog.tables import JobTable
from earmark.disk.hashing import hash_bytes
from earmark.errors import CatalogError, JobError
from earmark.rows import SPLITS, field_names
from earmark.training.jobs import write_job
from earmark.training.leakage import COMPACTED, DistinctMarks
from earmark.training.manifest_row import ManifestRow, dump_row
from earmark.training.selection import JobDataset, refusal, rows_of, split_of

ID = 0
unhurried = settings(deadline=None)  # a busy machine is no failure


def row(dataset="a", sound=None, split=None, duration=2.0, **labels):
    """Return a manifest row; without `sound` no two are alike."""
    global ID
    ID += 1
    heard = hash_bytes(str(sound if sound is not None else f"only {ID}").encode())
    made = {"id": f"r{ID}", "audio_path": f"{dataset}/{ID}.flac", "audio_hash": heard, "duration": duration}
    made |= {"sample_rate": 16_000, "dataset": dataset}
    return made | ({"split": split} if split else {}) | labels


class Work:
    """Manifests in a folder, and jobs run on them."""

    def __init__(self, folder):
        self.folder = folder
        self.datasets = []

    def add(self, name, rows, **facts):
        path = self.folder / f"{name}.jsonl"
        path.write_bytes(b"".join(map(dump_row, rows)))
        self.datasets.append(JobDataset(name, (path,), **facts))
        return path

    def run(self, **table):
        job = JobTable(datasets=tuple(dataset.name for dataset in self.datasets), **table)
        paths = {split: self.folder / f"out-{split}" for split in SPLITS}
        return write_job("x", job, self.datasets, paths, lambda _read: None)

    def rows(self, split):
        return [orjson.loads(line) for line in (self.folder / f"out-{split}").read_bytes().splitlines()]

    def ids(self):
        return {split: [made["id"] for made in self.rows(split)] for split in SPLITS}


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


def job(**table):
    return JobTable(datasets=("a",), **table)


DATASET = JobDataset("a", (), licence="CC-BY-4.0")


@pytest.mark.parametrize(
    ("table", "labels", "expected"),
    [
        ({"labels": ["text"]}, {"text": "x"}, ""),
        ({"labels": ["text"]}, {}, "no text"),
        ({"labels": ["singing|vocals"]}, {"vocals": "Y"}, ""),
        ({"labels": ["singing|vocals"]}, {"text": "x"}, "no singing|vocals"),
        ({"labels": ["singing"]}, {"singing": False}, ""),
        ({}, {"defects": ["noise"]}, "defects"),
        ({"keep_defects": True}, {"defects": ["noise"]}, ""),
        ({"min_duration": 2.0}, {"duration": 2.0}, ""),
        ({"min_duration": 2.5}, {"duration": 2.0}, "too short"),
        ({"max_duration": 2.0}, {"duration": 2.0}, ""),
        ({"max_duration": 1.0}, {"duration": 2.0}, "too long"),
        ({"languages": ["en"]}, {"language": "en-GB"}, ""),
        ({"languages": ["en-GB"]}, {"language": "en"}, "other language"),
        ({"languages": ["en"]}, {"language": "enx"}, "other language"),
        ({"languages": ["pt-br"]}, {"language": "pt-BR"}, ""),
        ({"languages": ["en"]}, {}, "no language"),
        ({"licences": ["CC-BY-*"]}, {}, ""),
        ({"licences": ["CC-BY-*"]}, {"licence": "GPL-3.0"}, "licence GPL-3.0"),
        ({"licences": ["CC-BY-*"]}, {"licence": "CC-BY-NC-4.0"}, "licence CC-BY-NC-4.0"),
        ({"licences": ["CC-BY-*"]}, {"licence": "CC-BY-4.0 AND ODbL-1.0"}, "licence CC-BY-4.0 AND ODbL-1.0"),
        ({"licences": ["CC-BY-*"]}, {"licence": "CC-BY-3.0 OR ODbL-1.0"}, ""),
        ({"licences": ["CC-BY-*", "public domain"]}, {"licence": "public domain"}, ""),
        ({"splits": ["train"]}, {"split": "test"}, "other split"),
        ({"splits": ["train"]}, {}, "no split"),
        ({"where": {"stem": "mixture"}}, {"stem": "mixture"}, ""),
        ({"where": {"stem": ["drums", "bass"]}}, {"stem": "bass"}, ""),
        ({"where": {"stem": "mixture"}}, {"stem": "drums"}, "other stem"),
        ({"where": {"stem": "mixture"}}, {}, "no stem"),
        ({"without": {"sentence_type": "SA"}}, {"sentence_type": "SA"}, "sentence_type SA"),
        ({"without": {"sentence_type": ["SA"]}}, {"sentence_type": "SX"}, ""),
        ({"without": {"sentence_type": "SA"}}, {}, ""),
        ({"where": {"sound_events": "Dog"}}, {"sound_events": ["Cat", "Dog"]}, ""),
        ({"where": {"sound_events": ["Dog", "Bell"]}}, {"sound_events": ["Cat"]}, "other sound_events"),
        ({"without": {"sound_events": ["Dog", "Bell"]}}, {"sound_events": ["Cat", "Dog"]}, "sound_events Dog"),
        ({"where": {"singing": False}}, {"singing": False}, ""),
        ({}, {"duration": 0.0}, "no length"),
    ],
)
def test_a_row_is_taken_or_its_reason_is_named(table, labels, expected):
    assert refusal(job(**table), DATASET, row(**labels)) == expected


def test_a_licence_that_nobody_knows_is_not_allowed():
    assert refusal(job(licences=["CC-BY-*"]), JobDataset("a", ()), row()) == "no licence known"


def test_segments_become_rows_with_their_own_speaker_and_the_recordings_audio():
    found = row(
        duration=9.0,
        text="all of it",
        language="zh",
        segments=[
            {"start": 0.5, "end": 2.0, "speaker_id": "m1", "text": "one"},
            {"start": 0.5, "end": 2.0, "speaker_id": "m2"},
            {"start": 8.0, "end": 9.1, "speaker_id": "m1", "text": "two"},
        ],
    )
    first, second, third = rows_of(job(unit="segment"), found)
    assert first["id"] == f"{found['id']}:00000500-00002000"
    assert second["id"] == f"{first['id']}-2"
    assert (first["text"], first["speaker_id"], first["duration"], first["language"]) == ("one", "m1", 1.5, "zh")
    assert "text" not in second  # the words of the whole recording are not those of this speaker
    assert (third["end"], third["duration"]) == (9.0, 1.0)  # cut by rounding
    for segment in (first, second, third):
        assert "segments" not in segment
        assert {name: segment[name] for name in ("audio_path", "audio_hash")} == {
            name: found[name] for name in ("audio_path", "audio_hash")
        }


TURNS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6), st.sampled_from("ab")), min_size=1, max_size=12)


@unhurried
@given(turns=TURNS)
def test_segments_are_overlapped_just_where_another_speaker_speaks_too(turns):
    segments = [{"start": s, "end": s + n, "speaker_id": who} for s, n, who in sorted(turns)]
    spoken = [{second + 0.5 for second in range(turn["start"], turn["end"])} for turn in segments]
    expected = [
        any(own & other and turn["speaker_id"] != of["speaker_id"] for other, of in zip(spoken, segments, strict=True))
        for own, turn in zip(spoken, segments, strict=True)
    ]
    found = list(rows_of(job(unit="segment"), row(duration=99.0, segments=segments)))
    assert ["overlapped" in segment for segment in found] == expected
    kept = [segment for segment in found if refusal(job(without={"overlapped": True}), DATASET, segment) == ""]
    assert len(kept) == sum(
        not flag and turn["end"] > turn["start"] for flag, turn in zip(expected, segments, strict=True)
    )


def test_a_recording_without_segments_is_a_unit_itself():
    found = row(text="x")
    assert list(rows_of(job(unit="segment"), found)) == [found]


def test_a_segment_beyond_its_recording_is_left_out_and_counted(work):
    work.add("a", [row(split="train", segments=[{"start": 0.0, "end": 1.0}, {"start": 5.0, "end": 6.0}])])
    summary = work.run(unit="segment")
    assert summary.rows == 1
    assert summary.as_json()["left_out"] == {"a": {"segment beyond the end": 1}}


@pytest.mark.parametrize(
    ("table", "labels", "expected"),
    [
        ({}, {"split": "dev"}, "dev"),
        ({}, {}, None),
        ({"unsplit": "train"}, {}, "train"),
        ({"split": "fold", "dev_folds": [9], "test_folds": [10]}, {"fold": 10}, "test"),
        ({"split": "fold", "dev_folds": [9], "test_folds": [10]}, {"fold": 9, "split": "test"}, "dev"),
        ({"split": "fold", "dev_folds": [9], "test_folds": [10]}, {"fold": 1}, "train"),
        ({"split": ["official", "fold"], "test_folds": [10]}, {"fold": 10, "split": "train"}, "train"),
        ({"split": ["official", "fold"], "test_folds": [10]}, {"fold": 10}, "test"),
        ({"split": ["official", "fold"], "test_folds": [10]}, {}, None),
    ],
)
def test_the_first_policy_that_can_tell_names_the_split(table, labels, expected):
    assert split_of(job(**table), DATASET, row(**labels)) == expected


@unhurried
@given(st.integers(0, 2**31), st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=40))
def test_grouped_splits_never_part_a_speaker_and_never_change(seed, speakers):
    table = job(split="group", dev=0.3, test=0.3, seed=seed)
    where = {}
    for speaker in speakers:
        split = split_of(table, DATASET, row(speaker_id=speaker))
        assert where.setdefault(speaker, split) == split


@unhurried
@given(st.integers(0, 100))
def test_grouped_splits_have_about_their_shares(seed):
    table = job(split="group", dev=0.2, test=0.1, seed=seed)
    found = [split_of(table, DATASET, row(speaker_id=str(n))) for n in range(1000)]
    assert 130 < found.count("dev") < 270
    assert 50 < found.count("test") < 150


def test_a_group_is_the_datasets_own_label_else_the_speaker_else_the_audio():
    table = job(split="group", dev=0.4, test=0.3)
    grouped = JobDataset("a", (), disjoint=("group_id",))

    def splits(source, rows):
        return {split_of(table, source, one) for one in rows}

    assert len(splits(grouped, [row(group_id="g", speaker_id=str(n)) for n in range(50)])) == 1
    assert len(splits(grouped, [row(speaker_id="s") for _ in range(50)])) == 1
    assert len(splits(grouped, [row(sound=1) for _ in range(5)])) == 1
    assert len(splits(grouped, [row() for _ in range(50)])) == len(SPLITS)


def test_a_reader_of_two_corpora_with_one_numbering_goes_to_one_split(work):
    for name in ("a", "b"):
        rows = [row(name, speaker_id=str(n)) for n in range(60)]
        work.add(name, rows, spaces={"speaker_id": "librivox"}, disjoint=("speaker_id",))
    assert work.run(split="group", dev=0.3, test=0.3).leakage == {}


def test_another_seed_gives_another_split():
    rows = [row(speaker_id=str(n)) for n in range(100)]
    one, other = (
        [split_of(job(split="group", test=0.4, seed=seed), DATASET, found) for found in rows] for seed in (0, 1)
    )
    assert one != other


def test_rows_come_in_the_order_of_datasets_and_then_of_manifests(work):
    work.add("b", [row("b", split="train"), row("b", split="train")])
    work.add("a", [row("a", split="train"), row("a", split="dev")])
    summary = work.run()
    assert [made["dataset"] for made in work.rows("train")] == ["b", "b", "a"]
    assert work.rows("test") == []
    assert summary.as_json()["splits"]["dev"]["rows"] == 1
    first = {split: (work.folder / f"out-{split}").read_bytes() for split in SPLITS}
    assert orjson.dumps(work.run().as_json()) == orjson.dumps(summary.as_json())
    assert {split: (work.folder / f"out-{split}").read_bytes() for split in SPLITS} == first


def test_the_same_audio_in_two_splits_fails_with_examples_of_both_sides(work):
    one, other = row("a", sound=7, split="train"), row("b", sound=7, split="test")
    work.add("a", [one, row("a", split="train")])
    work.add("b", [other])
    expected = rf"1 in train/test, such as a {one['id']} \(train\) and b {other['id']} \(test\)\. Nothing was written"
    with pytest.raises(JobError, match=expected) as error:
        work.run()
    assert 'leakage = "drop"' in str(error.value)
    assert 'accept_leakage = { audio_hash = "..." }' in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not (work.folder / "out-train").exists()


def test_the_same_audio_twice_in_one_split_is_no_leak(work):
    work.add("a", [row(sound=7, split="train"), row(sound=7, split="train")])
    assert work.run().leakage == {}


def test_a_stem_that_is_the_audio_of_another_split_is_a_leak(work):
    stem = row(sound=7, split="train")
    mixture = row(split="test", stems={"vocals": {name: stem[name] for name in ("id", "audio_path", "audio_hash")}})
    work.add("a", [stem, mixture])
    with pytest.raises(JobError, match="audio_hash that two splits share: 1 in train/test"):
        work.run()


def two_sides(work, one=None, other=None, speaker="19"):
    """Add a speaker of two datasets, in train of the one and test of the other."""
    work.add("a", [row("a", split="train", speaker_id=speaker), row("a", split="train", speaker_id="1")], **(one or {}))
    work.add("b", [row("b", split="test", speaker_id=speaker)], **(other or {}))


LIBRIVOX = {"spaces": {"speaker_id": "librivox"}}
DISJOINT = {"disjoint": ("speaker_id",)}


@pytest.mark.parametrize(
    ("one", "other"),
    [(LIBRIVOX | DISJOINT, LIBRIVOX), (LIBRIVOX, LIBRIVOX | DISJOINT), (LIBRIVOX | DISJOINT, LIBRIVOX | DISJOINT)],
)
def test_a_speaker_of_two_datasets_leaks_where_either_wants_it_disjoint(work, one, other):
    two_sides(work, one, other)
    with pytest.raises(JobError, match="speaker_id that two splits share: 1 in train/test"):
        work.run()


@pytest.mark.parametrize(
    ("one", "other"), [(DISJOINT, DISJOINT), (LIBRIVOX, LIBRIVOX), (LIBRIVOX | DISJOINT, DISJOINT)]
)
def test_equal_numbers_of_other_people_are_no_leak(work, one, other):
    two_sides(work, one, other)
    assert work.run().leakage == {}


def test_a_group_is_compared_within_its_dataset(work):
    work.add("a", [row("a", split="train", group_id="g")], disjoint=("group_id",))
    work.add("b", [row("b", split="test", group_id="g")], disjoint=("group_id",))
    assert work.run().leakage == {}
    work.add("c", [row("c", split=split, group_id="g") for split in ("dev", "test")], disjoint=("group_id",))
    with pytest.raises(JobError, match="group_id that two splits share: 1 in dev/test"):
        work.run()


def test_speakers_of_segments_and_of_lists_leak_as_others_do(work):
    rows = [
        row(split="train", segments=[{"start": 0.0, "end": 1.0, "speaker_id": "m"}]),
        row(split="test", speaker_ids=["m", "n"]),
    ]
    work.add("a", rows, **DISJOINT)
    with pytest.raises(JobError, match="speaker_id"):
        work.run()


def test_leakage_that_is_accepted_is_in_the_summary_with_its_reason(work):
    two_sides(work, LIBRIVOX | DISJOINT, LIBRIVOX)
    summary = work.run(accept_leakage={"speaker_id": "only the words are learnt"})
    assert summary.rows == 3
    assert summary.as_json()["leakage"] == {
        "speaker_id": {"shared": {"train/test": 1}, "rows_kept": 2, "accepted": "only the words are learnt"}
    }
    assert any("only the words are learnt" in line for line in summary.table())


def test_what_is_accepted_of_one_kind_does_not_accept_another(work):
    work.add("a", [row(sound=7, split=split, speaker_id="s") for split in ("train", "test")], **DISJOINT)
    with pytest.raises(JobError, match="values of audio_hash"):
        work.run(accept_leakage={"speaker_id": "known"})


def test_dropped_leakage_leaves_out_rows_of_train_and_then_of_dev(work):
    rows = [row(sound=sound, split=split) for sound, split in [(1, "train"), (1, "dev"), (2, "dev"), (2, "test")]]
    work.add("a", [*rows, row(split="train")])
    summary = work.run(leakage="drop")
    assert [work.ids()[split] for split in ("dev", "test")] == [[rows[1]["id"]], [rows[3]["id"]]]
    assert rows[0]["id"] not in work.ids()["train"]
    assert summary.as_json()["left_out"] == {"a": {"leaks audio_hash": 2}}
    assert summary.leakage["audio_hash"] == {"shared": {"dev/test": 1, "train/dev": 1}, "rows_dropped": 2}


@unhurried
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(SPLITS), st.integers(0, 6), st.integers(0, 4)),
        min_size=1,
        max_size=30,
    )
)
def test_nothing_leaks_once_leakage_was_dropped(tmp_path_factory, found):
    work = Work(tmp_path_factory.mktemp("job"))
    for name in "ab":
        rows = [row(name, sound, split, speaker_id=str(one)) for of, split, sound, one in found if of == name]
        work.add(name, rows, **LIBRIVOX, **(DISJOINT if name == "a" else {}))
    summary = work.run(leakage="drop")
    kept = [(split, made) for split in SPLITS for made in work.rows(split)]
    assert len(kept) == summary.rows == len(found) - sum(out.total() for out in summary.left_out.values())
    for split, made in kept:
        for other, neighbour in kept:
            if split != other:
                assert made["audio_hash"] != neighbour["audio_hash"]
                if "a" in (made["dataset"], neighbour["dataset"]):
                    assert made["speaker_id"] != neighbour["speaker_id"]


def test_marks_that_come_again_take_no_room():
    marks = DistinctMarks()
    for n in range(COMPACTED + 10):
        marks.add(n % 3)
    assert len(marks._marks) < 20
    assert list(marks.distinct()) == [0, 1, 2]


def test_no_row_at_all_says_what_was_left_out_and_where(work):
    work.add("a", [row(split="train"), row(text="x")])
    with pytest.raises(JobError, match=r"not one row to write: left out are 1 no split \(a\), 1 no text \(a\)"):
        work.run(labels=["text"])


def test_the_summary_counts_rows_hours_speakers_languages_and_labels(work):
    rows = [row("a", split="train", duration=1800.0, speaker_id=one, language="en", text="x") for one in "112"]
    work.add("a", rows, **LIBRIVOX)
    work.add("b", [row("b", split="train", speaker_id="1", language="de")], **LIBRIVOX)
    summary = work.run()
    assert summary.as_json()["splits"]["train"] == {
        "rows": 4,
        "hours": 1.501,
        "speakers": 2,  # reader 1 of both corpora is one person
        "languages": {"de": 1, "en": 3},
    }
    assert summary.as_json()["labels"] == {
        "a": {"language": 3, "speaker_id": 3, "text": 3},
        "b": {"language": 1, "speaker_id": 1},
    }
    assert any(line.split()[:4] == ["train", "4", "1.50", "2"] for line in summary.table())


def with_features(work, rows, listed):
    lines = [
        {name: made[name] for name in ("audio_path", "audio_hash")} | {"pack": "p.zarr", "row": n, "n_frames": 100}
        for n, made in listed
    ]
    (work.folder / "f0.jsonl").write_bytes(b"".join(map(dump_row, lines)))
    work.add("a", rows, features={"f0": work.folder / "f0.jsonl"})


def test_rows_name_the_place_of_their_features(work):
    rows = [row(split="train", segments=[{"start": 0.0, "end": 1.0}, {"start": 1.0, "end": 2.0}]) for _ in range(3)]
    with_features(work, [rows[0], rows[2]], list(enumerate(rows)))
    work.run(unit="segment")
    assert [made["features"] for made in work.rows("train")] == [
        {"f0": {"pack": "p.zarr", "row": n, "n_frames": 100}} for n in (0, 0, 2, 2)
    ]


def test_a_recording_without_features_fails_the_job(work):
    rows = [row(split="train"), row(split="train")]
    with_features(work, rows, [(0, rows[0])])
    with pytest.raises(JobError, match=rf"no features of {rows[1]['id']}, .*run `doit features:a`"):
        work.run()


def test_features_of_the_audio_that_was_in_a_file_before_are_not_those_of_its_row(work):
    one = row(split="train")
    with_features(work, [one], [(0, one | {"audio_hash": "0" * 32})])
    with pytest.raises(JobError, match=rf"no features of {one['id']}, .*run `doit features:a`"):
        work.run()


CATALOG = """
[encoders.f0]
model = "m"

[encoders.other]
model = "m"

[datasets.x]
corpus   = "mls"
disjoint = ["speaker_id"]

[datasets.y]
corpus   = "mls"
encoders = ["other"]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[jobs.j]\ndatasets = []\n", "datasets: expected"),
        ('[jobs.j]\ndatasets = ["xx"]\n', r'\[jobs.j\]: datasets: no dataset "xx"'),
        ('[jobs.j]\ndatasets = ["x", "x"]\n', '"x" is named twice'),
        ('[jobs.j]\ndatasets = ["x"]\nlabel = ["text"]\n', r'unknown key "label" \(did you mean "labels"'),
        ('[jobs.j]\ndatasets = ["x"]\nlabels = ["text|"]\n', "entry 1: expected a label, or several"),
        ('[jobs.j]\ndatasets = ["x"]\nunit = "word"\n', "unit: expected 'recording' or 'segment'"),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = "offical"\n', "entry 1: expected 'official', 'fold' or 'group'"),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = []\n', "split: expected"),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = ["group", "official"]\n', '"group" can tell of every row'),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = "fold"\n', 'go with split = "fold"'),
        ('[jobs.j]\ndatasets = ["x"]\ntest_folds = [1]\n', 'go with split = "fold"'),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = "fold"\ndev_folds = [1]\ntest_folds = [1]\n', "no fold in both, got 1"),
        ('[jobs.j]\ndatasets = ["x"]\nseed = 1\n', 'go with split = "group"'),
        ('[jobs.j]\ndatasets = ["x"]\nsplit = "group"\nunsplit = "dev"\n', "leaves no row without a split"),
        (
            '[jobs.j]\ndatasets = ["x"]\nsplit = "group"\ndev = 0.5\ntest = 0.5\n',
            "leave some for train, got 0.5 and 0.5",
        ),
        ('[jobs.j]\ndatasets = ["x"]\nmin_duration = 2\nmax_duration = 1\n', "expected at most max_duration = 1.0"),
        ('[jobs.j]\ndatasets = ["x"]\nlanguages = ["english!"]\n', "expected a BCP 47 tag"),
        ('[jobs.j]\ndatasets = ["x"]\nwhere = { stem = { a = 1 } }\n', "stem: expected text, a number, true or false"),
        ('[jobs.j]\ndatasets = ["x"]\nlabels = ["segments"]\nunit = "segment"\n', "no segment has the label segments"),
        ('[jobs.j]\ndatasets = ["x"]\nfeatures = ["f1"]\n', r'features: no encoder "f1"\.'),
        ('[jobs.j]\ndatasets = ["y"]\nfeatures = ["f0"]\n', r'\[datasets.y\] does not name "f0" in its encoders'),
        ('[jobs.j]\ndatasets = ["x"]\naccept_leakage = { speaker_id = " " }\n', "speaker_id: expected the reason"),
        ('[jobs.j]\ndatasets = ["x"]\naccept_leakage = { speaker = "why" }\n', 'did you mean "speaker_id"'),
        ('[jobs.j]\ndatasets = ["x"]\nleakage = "ignore"\n', "leakage: expected 'fail' or 'drop'"),
        ('[manifests.m]\ndatasets = ["z"]\n', r'\[manifests.m\]: datasets: no dataset "z"'),
        ('[manifests.X]\ndatasets = ["x"]\n', r"what a task or a manifest of \[datasets.x\] is called"),
        ('[manifests.y_dev]\ndatasets = ["x"]\n', r"what a task or a manifest of \[datasets.y\] is called"),
    ],
)
def test_a_mistake_in_a_job_or_joint_manifest_is_one_line(tmp_path, text, expected):
    path = tmp_path / "datasets.toml"
    path.write_text(CATALOG + text, "utf-8")
    with pytest.raises(CatalogError, match=expected) as error:
        read_catalog(path)
    assert len(str(error.value).splitlines()) == 1


def test_every_field_that_code_reads_by_name_is_one_of_the_schema():
    assert set(ManifestRow.__annotations__) <= set(field_names())


def test_a_row_that_is_read_and_written_again_keeps_every_byte():
    line = dump_row(row(split="train", text="ü", votes={"b": 1, "a": 2}, snr=0.1 + 0.2, defects=["no stem x"]))
    assert dump_row(orjson.loads(line)) == line
