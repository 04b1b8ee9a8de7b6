"""Labels on their way from a corpus's files to a job's JSONL: text as it stands, stems at their audio, rows in order."""

import contextlib
import csv
import functools
import json
import os
import shutil
import unicodedata

import orjson
import pytest
from soundfile import write as write_sound
from support.collection import RATE_HZ, Collection, speech, write_chapter
from support.fixtures import unpack
from support.models import write_model
from support.readers import FIXTURES, items_of
from support.runs import open_run

from earmark.catalog.project import open_project
from tasks.engine.judge import judge
from tasks.engine.units import Unit
from tasks.stages import job
from tasks.stages.standard_files import audio_file, audio_path

JOB = "manifests/jobs/all"
TEXTS = [
    'he said "no", twice: ""',
    "a\ttab, a comma; a semicolon | a bar",
    "two\nlines",
    "two\r\nlines of another system",
    " blanks at both ends ",
    "\u00a0no break\u00a0",
    "👩‍👩‍👧 🏳️‍🌈 \U0001f9d1\U0001f3fd",
    "שלום \u202bעולם\u202c العربية \u200f",
    unicodedata.normalize("NFD", "Ångström é ü ộ"),
    unicodedata.normalize("NFC", "Ångström é ü ộ"),
    "line\u2028paragraph\u2029next\u0085form\x0cbell\x07",
    "\ufeffmark in front",
    "ß ﬁ ǅ İ ı ſ",
    "{'not': json} [1, 2] <tag> &amp; \\n \\u00e9 %s $x",
    "0012",
    "NaN",
    "null",
    "𝒳\U0010ffff",
]
NOT_IN_KALDI = set("\n")  # of a table of lines


def sound(path, seed, seconds=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sound(path, speech(seconds, seed), RATE_HZ, subtype="PCM_16")


def fresh(folder):
    made = Collection(folder)
    made.write_catalog()
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    return made


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same texts in a CSV, a JSON Lines and a Kaldi table, all the way to a job."""
    made = fresh(tmp_path_factory.mktemp("texts") / "collection")
    names = [f"{number:02d}" for number in range(len(TEXTS))]
    for form in ("csv", "jsonl"):
        root = made.home / "data" / form
        for number, name in enumerate(names):
            sound(root / f"{name}.wav", number)
        if form == "csv":
            with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(
                    [("file_name", "text"), *zip((f"{name}.wav" for name in names), TEXTS, strict=True)]
                )
        else:
            rows = [{"file_name": f"{name}.wav", "text": text} for name, text in zip(names, TEXTS, strict=True)]
            lines = [json.dumps(row, ensure_ascii=bool(at % 2)) + "\n" for at, row in enumerate(rows)]
            (root / "metadata.jsonl").write_bytes("".join(lines).encode())
        made.datasets[form] = {"corpus": "audiofolder"}
    root = made.home / "data" / "kaldi"
    of_lines = [(name, text) for name, text in zip(names, TEXTS, strict=True) if not NOT_IN_KALDI & set(text)]
    for number, (name, _) in enumerate(of_lines):
        sound(root / f"{name}.wav", 100 + number)
    (root / "wav.scp").write_text("".join(f"{name} {name}.wav\n" for name, _ in of_lines), "utf-8")
    (root / "text").write_bytes("".join(f"{name}\t{text}\n" for name, text in of_lines).encode())
    made.datasets["kaldi"] = {"corpus": "kaldi"}
    made.jobs["all"] = {
        "datasets": ["csv", "jsonl", "kaldi"],
        "labels": ["text"],
        "unsplit": "train",
        "keep_defects": True,
    }
    made.write_catalog()
    made.doit("job:all")
    return made


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("number", range(len(TEXTS)), ids=lambda number: ascii(TEXTS[number]))
def test_text_reaches_a_job_as_it_stands(written, form, number):
    texts = {row["id"]: row["text"] for row in written.rows(f"{JOB}/train.jsonl") if row["dataset"] == form}
    assert texts[f"{number:02d}"] == TEXTS[number]


def test_text_of_a_table_of_lines_reaches_a_job_but_for_the_blanks_after_its_id(written):
    texts = {row["id"]: row["text"] for row in written.rows(f"{JOB}/train.jsonl") if row["dataset"] == "kaldi"}
    assert texts == {
        f"{number:02d}": text.lstrip(" ") for number, text in enumerate(TEXTS) if not NOT_IN_KALDI & set(text)
    }


def test_stems_lead_to_their_audio_in_whichever_shard_and_a_lost_one_is_a_defect(tmp_path):
    made = fresh(tmp_path / "collection")
    songs = made.home / "data" / "songs" / "train"
    for song, stems in {
        "A - One": ("mixture", "drums", "bass", "other", "vocals"),
        "B - Two": ("mixture", "drums"),
    }.items():
        for number, stem in enumerate((*stems,)):
            sound(songs / song / f"{stem}.wav", 10 * len(song) + 100 * (song[0] == "B") + number)
    (songs / "B - Two" / "bass.wav").write_bytes(b"RIFF no sound")
    for number, stem in enumerate(("other", "vocals")):
        sound(songs / "B - Two" / f"{stem}.wav", 500 + number)
    made.datasets["songs"] = {"corpus": "musdb18", "shard_files": 1, "max_bad": 1.0, "per_split": False}
    made.jobs["all"] = {"datasets": ["songs"], "labels": ["stems"]}
    made.write_catalog()
    said = made.doit("job:all").stdout
    rows = {row["id"]: row for row in made.rows("manifests/songs.jsonl")}
    assert len(made.receipt("scan", "songs")["outputs"]["shards"]) == 10
    for song, lost in (("A - One", []), ("B - Two", ["bass"])):
        mixture = rows[f"{song}.mixture"]
        assert set(mixture["stems"]) == {"drums", "bass", "other", "vocals"} - {*lost}
        assert mixture.get("defects", []) == [f"no stem {name}" for name in lost]
        for name, stem in mixture["stems"].items():
            assert stem == {key: rows[f"{song}.{name}"][key] for key in ("id", "audio_path", "audio_hash")}
    assert "1 stems are not among the good recordings, so left out (such as B - Two.mixture: bass)" in said
    assert [row["id"] for row in made.rows(f"{JOB}/train.jsonl")] == ["A - One.mixture"]


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Two datasets with features, a third that is not there, a fourth that no job names; one job, run."""
    made = fresh(tmp_path_factory.mktemp("books") / "collection")
    for number, name in enumerate(("one", "two")):
        root = made.add_dataset(name, licence="CC0-1.0", spaces={"speaker_id": "librivox"}, shard_files=2)
        write_chapter(root, f"8{number}-1", {0: 10 * number, 1: 10 * number + 1, 2: 10 * number + 2}, seconds=0.2)
        write_chapter(root, f"9{number}-1", {0: 10 * number + 5}, split="dev-clean", seconds=0.2)
    made.add_dataset("gone", archives=[{"file": "gone.tar.gz"}])
    made.add_dataset("apart")
    made.jobs["all"] = {"datasets": ["one", "gone", "two"], "labels": ["text"], "features": ["small"]}
    made.write_catalog()
    made.doit("job:all")
    return made


@pytest.fixture
def copy(books, tmp_path):
    """Return the collection again, to be changed; nothing in it is touched by the copying."""
    home = tmp_path / "collection"
    shutil.copytree(books.home, home)
    return Collection(
        home,
        {name: dict(table) for name, table in books.datasets.items()},
        jobs={name: dict(table) for name, table in books.jobs.items()},
    )


def verdict(made):
    """Return the state of the job by itself and why."""
    made.write_catalog()
    found = judge(open_run(made.home / "datasets.toml"), job.RULE, Unit("job", "all"))
    return found.state, "; ".join(found.reasons)


@pytest.mark.parametrize(
    "edit",
    [
        lambda made: made.datasets["one"].update(licence="CC-BY-4.0"),  # the job asks for none
        lambda made: made.datasets["one"].update(priority=1, home="https://example.org", max_bad=0.5),
        lambda made: made.datasets["apart"].update(disjoint=["speaker_id"], licence="LicenseRef-x"),
        lambda made: made.add_dataset("fifth"),
        lambda made: made.jobs.update(other={"datasets": ["one"]}),
        lambda made: made.manifests.update(joint={"datasets": ["one", "two"]}),
        lambda made: made.jobs["all"].update(leakage="fail", unit="recording"),  # what it is already
        lambda made: write_chapter(made.home / "data" / "apart" / "LibriSpeech", "70-1", {0: 70}),
    ],
)
def test_a_job_stays_current_after_what_is_not_its_own(copy, edit):
    edit(copy)
    assert verdict(copy) == ("U", "")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda made: made.jobs["all"].update(min_duration=0.1), "table.min_duration changed"),
        (lambda made: made.jobs["all"].update(licences=["CC0-*"]), "table.licences changed"),
        (lambda made: made.jobs["all"].update(datasets=["two", "gone", "one"]), "table.datasets changed"),
        (lambda made: made.datasets["one"].update(disjoint=["speaker_id"]), "disjoint.one changed"),
        (lambda made: made.datasets["two"].update(spaces={}), "spaces.two"),
        (lambda made: write_chapter(made.home / "data" / "gone" / "LibriSpeech", "70-1", {0: 70}), "gone has not run"),
    ],
)
def test_a_job_is_stale_after_what_is_its_own_and_says_what(copy, edit, said):
    edit(copy)
    state, why = verdict(copy)
    assert state == "R"
    assert said in why


def test_a_licence_matters_to_a_job_that_asks_for_licences(copy):
    copy.jobs["all"]["licences"] = ["CC0-*"]
    copy.write_catalog()
    copy.doit("job:all")
    assert verdict(copy)[0] == "U"
    copy.datasets["two"]["licence"] = "CC-BY-4.0"
    assert verdict(copy) == ("R", "licences.two changed (CC0-1.0 -> CC-BY-4.0)")
    copy.doit("job:all")
    summary = orjson.loads((copy.home / JOB / "summary.json").read_bytes())
    assert summary["left_out"] == {"two": {"licence CC-BY-4.0": 4}}


def test_another_encoder_of_the_same_name_reaches_the_job_although_its_packs_are_called_alike(copy):
    before = orjson.loads((copy.home / JOB / "summary.json").read_bytes())["encoders"]
    rows = copy.rows(f"{JOB}/train.jsonl")
    copy.encoder["window"] = "clip"
    copy.write_catalog()
    copy.doit("job:all")
    assert copy.rows(f"{JOB}/train.jsonl") == rows
    after = orjson.loads((copy.home / JOB / "summary.json").read_bytes())["encoders"]
    assert before["small"] != after["small"]
    for folder in (*before.values(), *after.values()):
        assert all((copy.home / folder / "packs" / row["features"]["small"]["pack"]).is_dir() for row in rows)
    assert copy.states()["job:all"] == "U"


def products(made):
    return {path.name: path.read_bytes() for path in sorted((made.home / JOB).iterdir())}


def test_a_change_and_its_taking_back_give_the_same_bytes(copy):
    before = products(copy)
    root = copy.home / "data" / "one" / "LibriSpeech"
    labels = root / "train-clean-100" / "80" / "1" / "80-1.trans.txt"
    text = labels.read_text("utf-8")
    labels.write_text(text.replace("WORD 1", "ANOTHER"), "utf-8")
    write_chapter(root, "60-1", {0: 60}, seconds=0.2)
    copy.doit("job:all")
    assert products(copy).keys() == before.keys()
    assert products(copy)["train.jsonl"] != before["train.jsonl"]
    labels.write_text(text, "utf-8")
    shutil.rmtree(root / "train-clean-100" / "60")
    copy.doit("job:all")
    assert products(copy) == before


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_readers_do_not_depend_on_the_order_in_which_a_disk_lists_its_files(path, tmp_path, monkeypatch):
    fixture = unpack(path.read_text("utf-8"), tmp_path)
    scandir, listdir = os.scandir, os.listdir

    @contextlib.contextmanager
    def in_order(folder, *, reverse):
        with scandir(folder) as entries:
            yield iter(sorted(entries, key=lambda entry: entry.name, reverse=reverse))

    found = []
    for reverse in (False, True):
        monkeypatch.setattr(os, "scandir", functools.partial(in_order, reverse=reverse))
        monkeypatch.setattr(os, "listdir", lambda folder, way=reverse: sorted(listdir(folder), reverse=way))
        found.append(items_of(fixture, tmp_path))
    assert found[0] == found[1]


@pytest.mark.parametrize("form", ["flac", "wav", "none"])
@pytest.mark.parametrize("root", [".", "below"])
def test_paths_in_manifests_are_those_of_the_audio_relative_to_the_catalog(form, root, tmp_path):
    made = Collection(tmp_path, {"x": {"corpus": "audiofolder", "root": root}}, standard={"format": form})
    made.write_catalog()
    project = open_project(tmp_path / "datasets.toml")
    path_of = audio_path(project, "x")
    for path in ("a.flac", "a.wav", "ä b/c.d.flac", ".hidden", "no suffix", "ends.", "s.stem.mp4/1.stream"):
        assert path_of(path) == project.relative(audio_file(project, "x", path))


def test_a_manifest_under_a_new_stem_leaves_the_joint_one_that_took_its_name(tmp_path):
    made = fresh(tmp_path / "collection")
    write_chapter(made.add_dataset("one", manifest="both", per_split=False), "84-1", {0: 1}, seconds=0.2)
    write_chapter(made.add_dataset("two"), "85-1", {0: 2}, seconds=0.2)
    made.doit("manifest:one", "manifest:two")
    made.datasets["one"]["manifest"] = "one"
    made.manifests["both"] = {"datasets": ["two"]}
    made.write_catalog()
    made.doit("manifest:both", "manifest:one")
    assert [row["id"] for row in made.rows("manifests/both.jsonl")] == ["85-1-0000"]
    assert made.states("both") == {"manifest:both": "U"}
