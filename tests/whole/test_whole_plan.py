"""The shipped catalog as it is, every dataset of it a fixture: what one `doit manifest job` writes, row by row."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from support.collection import Collection, toml_value
from support.fixtures import parse, unpack
from support.models import write_model
from support.shipped import shipped_tables

from earmark.rows import SCHEMA
from earmark.training.bounds import with_defects

CORPORA = Path(__file__).parents[1] / "corpora"
GOLDEN = Path(__file__).parent / "whole_plan.txt"
MLS = ("english", "german", "dutch", "french", "spanish", "italian", "portuguese", "polish")
FIXTURES = {f"mls_{language}": "mls" for language in MLS} | {  # dataset -> fixture, where the names differ
    "mls_english_flac": "mls_spanish",
    "librispeech": "librispeech_zenodo",
    "commonvoice_en": "common_voice",
    "voxceleb1": "voxceleb",
    "voxceleb2": "voxceleb_identification",
    "emotion": "audiofolder_classes",
    "prosody": "audiofolder_flat",
    "paralinguistics": "audiofolder",
    "singing": "audiofolder",
}
BY_NAME = [
    "mls_english_train",
    "mls_multilingual",
    "libritts_train",
    "libritts_r_train",
    "librispeech_train",
    "aishell4_train",
    "commonvoice_train",
    "voxpopuli_train",
    "fleurs_train",
    "musan",
    "nsynth",
    "voxconverse",
    "musdb18",
    "urbansound8k",
    "fsd50k",
]
JOBS = [
    "ctc_asr",
    "phoneme_recognition",
    "emotion_recognition",
    "pitch_prosody",
    "paralinguistics",
    "speaker_embedding",
    "language_id",
    "singing_detection",
    "source_separation",
    "diarization",
    "sound_events",
    "noise_augmentation",
]
JOINT = ["mls_multilingual"]
MEASURED = ("audio_path", "audio_hash", "duration", "sample_rate")
ROOM = {"max_bad": 1.0, "max_missing": 1.0}  # fixtures are full of defects
SHORT = {"min_duration": 0.01}  # and their sounds last a tenth of a second

SHIPPED = shipped_tables()
DATASETS = [name for name in SHIPPED["datasets"] if name != "demo"]


def fixture_of(dataset):
    return (CORPORA / f"{FIXTURES.get(dataset, dataset)}.txt").read_text("utf-8")


def language_of(dataset, fixture):
    """Return the language that is set: the fixture's own, but for the one that stands for all of MLS."""
    said = fixture.catalog.get("language")
    return SHIPPED["datasets"][dataset].get("language", said) if dataset.startswith("mls_") else said


def table_of(dataset):
    """Return the shipped table, its archives unpacked long ago; where the reader starts and its options: the fixture's."""
    shipped, fixture = SHIPPED["datasets"][dataset], parse(fixture_of(dataset))
    assert shipped["corpus"] == fixture.catalog["corpus"]
    ours = ("archives", "expect", "language", "options", "root")
    kept = {key: value for key, value in shipped.items() if key not in ours}
    language = language_of(dataset, fixture)
    said = {key: fixture.catalog[key] for key in ("root", "options") if key in fixture.catalog}
    return kept | ROOM | said | ({"language": language} if language else {})


def expected_rows(dataset):
    """Return the rows of a fixture whose sound is sound, in the dataset's language, with the defects of its times."""
    fixture = parse(fixture_of(dataset))
    said = fixture.catalog.get("language")
    root, rows = fixture.catalog.get("root", "."), []
    for row in fixture.expected:
        content = fixture.files.get(row["path"] if root == "." else f"{root}/{row['path']}", "tone")
        if content.startswith(("tone", "sphere")):
            spoken = {"language": language_of(dataset, fixture)} if said and row.get("language") == said else {}
            labels = {name: value for name, value in row.items() if name != "path"} | spoken | {"dataset": dataset}
            rows.append(with_defects(labels, float(content.split()[1]) if content != "tone" else 0.1))
    return rows


def labels_only(row):
    """Return a manifest row without what is measured; stems by their ids, as fixtures have them."""
    kept = {name: value for name, value in row.items() if name not in MEASURED}
    if "stems" in row:
        kept["stems"] = {name: stem["id"] for name, stem in row["stems"].items()}
    return kept


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Every manifest and every job of the shipped catalog, on fixtures."""
    made = Collection(tmp_path_factory.mktemp("plan") / "collection")
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    tables = {table: SHIPPED[table] for table in ("standard",)}
    small = {"model": "model", "engine": "openvino", "window": "clip"}
    tables |= {"encoders.whisper-tiny": small, "encoders.f0": SHIPPED["encoders"]["f0"]}
    for dataset in DATASETS:
        tables[f"datasets.{dataset}"] = table_of(dataset)
        unpack(fixture_of(dataset), made.home / "data" / SHIPPED["datasets"][dataset].get("folder", dataset))
    tables |= {f"manifests.{name}": SHIPPED["manifests"][name] for name in JOINT}
    tables |= {f"jobs.{name}": SHIPPED["jobs"][name] | SHORT for name in JOBS}
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    (made.home / "datasets.toml").write_text("\n".join(lines) + "\n", "utf-8")
    made.doit("manifest", "job", timeout=280)
    return made


def test_every_manifest_and_job_of_the_plan_is_there_by_its_name(built):
    assert not [name for name in BY_NAME if not (built.home / "manifests" / f"{name}.jsonl").is_file()]
    assert set(JOBS) <= SHIPPED["jobs"].keys()
    for job in JOBS:
        assert {path.name for path in (built.home / "manifests" / "jobs" / job).iterdir()} == {
            "train.jsonl", "dev.jsonl", "test.jsonl", "summary.json", "summary.txt",
        }  # fmt: skip


@pytest.mark.parametrize("dataset", DATASETS)
def test_manifests_of_every_dataset_hold_exactly_the_expected_rows(dataset, built):
    table = SHIPPED["datasets"][dataset]
    stem = table.get("manifest", dataset)
    expected = expected_rows(dataset)
    assert expected
    for split in {row.get("split") for row in expected}:
        name = f"{stem}_{split}" if split and table.get("per_split", True) else stem
        rows = built.rows(f"manifests/{name}.jsonl")
        wanted = [row for row in expected if not table.get("per_split", True) or row.get("split") == split]
        assert [labels_only(row) for row in rows] == wanted


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_are_as_the_schema_says_and_their_audio_is_there(dataset, built):
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    receipt = built.receipt("manifest", dataset)
    for name in receipt["outputs"]["files"]:
        for row in built.rows(f"manifests/{name}"):
            assert not list(validator.iter_errors(row))
            paths = [row["audio_path"], *(stem["audio_path"] for stem in row.get("stems", {}).values())]
            assert all((built.home / path).is_file() for path in paths)


def test_joint_manifest_is_the_manifests_of_its_datasets_one_after_the_other(built):
    (name,) = JOINT
    members = SHIPPED["manifests"][name]["datasets"]
    rows = [row for dataset in members for row in expected_rows(dataset)]
    found = [labels_only(row) for row in built.rows(f"manifests/{name}.jsonl")]
    in_order = [json.dumps(row, sort_keys=True) for row in rows]
    assert sorted(json.dumps(row, sort_keys=True) for row in found) == sorted(in_order)
    assert list(dict.fromkeys(row["dataset"] for row in found)) == members


def test_jobs_hold_exactly_the_expected_rows(built):
    """The golden list, `job split dataset id`, was read by eye; a change of it is a change of what is trained on."""
    found = [
        f"{job} {split} {row['dataset']} {row['id']}"
        for job in JOBS
        for split in ("train", "dev", "test")
        for row in built.rows(f"manifests/jobs/{job}/{split}.jsonl")
    ]
    assert found == GOLDEN.read_text("utf-8").splitlines()


def test_rows_of_jobs_are_as_the_schema_says(built):
    schema = json.loads(SCHEMA.read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(
        schema | {"properties": schema["properties"] | schema["$defs"]["job"]["properties"]}
    )
    for path in sorted((built.home / "manifests" / "jobs").glob("*/*.jsonl")):
        for line in path.read_bytes().splitlines():
            assert not list(validator.iter_errors(json.loads(line)))


def test_second_run_of_the_whole_plan_does_nothing(built):
    again = built.doit("manifest", "job", timeout=120)
    assert " 0 done" in f" {again.stdout.splitlines()[-1]}"


def test_same_inputs_give_the_same_bytes_of_every_manifest_and_job(built, tmp_path):
    before = {path: path.read_bytes() for path in sorted((built.home / "manifests").rglob("*")) if path.is_file()}
    copy = Collection(tmp_path / "copy")
    for name in ("data", "model"):
        shutil.copytree(built.home / name, copy.home / name, ignore=shutil.ignore_patterns("standard"))
    shutil.copy(built.home / "datasets.toml", copy.home)
    copy.doit("manifest", "job", timeout=280)
    assert {copy.home / path.relative_to(built.home): data for path, data in before.items()} == {
        path: path.read_bytes() for path in sorted((copy.home / "manifests").rglob("*")) if path.is_file()
    }
