"""What doit makes of each kind, and what it planned: another width, another frame rate, other counts."""

import json

import pytest
from support.collection import decoded_features, write_chapter
from support.models import write_model
from support.onnx_models import write_hubert

from earmark.catalog.project import open_project
from earmark.disk.files import size_on_disk

TABLES = {
    "logmel": 'kind = "mel"\nn_mels = 128\n',
    "hubert": 'kind = "onnx"\nmodel = "hubert.onnx"\nnormalize = true\n',
    "number": 'kind = "onnx"\nmodel = "number.onnx"\ncodec = "float32"\n',  # one number a frame, 400 frames a second
    "layers": 'model = "model"\nengine = "openvino"\nwindow = "clip"\nlayers = [1, "last"]\n',
    "pitch": 'kind = "f0"\n',
}


@pytest.fixture
def books(collection):
    """Twelve recordings of 9 to 33 s, scanned, and encoders of every kind."""
    root = collection.add_dataset("books", encoders=list(TABLES))
    with (collection.home / "datasets.toml").open("a", encoding="utf-8") as file:
        file.writelines(f"[encoders.{name}]\n{keys}" for name, keys in TABLES.items())
    write_model(collection.home / "model", n_state=32, n_head=2, n_layer=2)
    write_hubert(collection.home / "hubert.onnx")
    write_hubert(collection.home / "number.onnx", convolutions=[(10, 5), (8, 8)], width=1)
    for number in range(12):
        write_chapter(root, f"{number}-1", {0: number}, seconds=9 + 2.2 * number)
    collection.doit("scan:books")
    return collection


def planned(collection):
    """Return the bytes that are planned for the packs of each encoder."""
    seen = json.loads(collection.doit("plan", "--json", "features:books").stdout)
    writes = [one for step in seen["steps"] if step["stage"] == "features" for one in step["writes"]]
    names = {
        one["what"].removeprefix("packs of "): one["bytes"] for one in writes if one["what"].startswith("packs of")
    }
    return {name: names[name]["likely"] for name in TABLES}


def test_packs_of_every_kind_are_planned_within_a_tenth_and_hold_what_the_encoder_gives(books):
    scanned = planned(books)
    books.doit("standardize:books")
    standardized = planned(books)
    books.doit("features:books")
    for name in TABLES:
        (packs,) = books.home.glob(f"cache/features/{name}-*/packs")
        assert scanned[name] == pytest.approx(size_on_disk(packs), rel=0.1), name
        assert standardized[name] == pytest.approx(size_on_disk(packs), rel=0.02), name
    project = open_project(books.home / "datasets.toml")
    rows = {row["audio_hash"]: row for row in books.rows("manifests/books_train.jsonl")}
    for name in TABLES:
        encoder = project.encoder(name).open(project.models)
        stored = dict(decoded_features(books.home, name))
        assert stored.keys() == rows.keys() and len(rows) == 12
        for audio_hash, frames in stored.items():
            n_samples = round(rows[audio_hash]["duration"] * 16_000)
            assert frames.shape == (encoder.front_end.frames.count(n_samples), encoder.n_state), name
    assert books.doit("features:books").stdout.splitlines()[-1].startswith("0 done")


def test_an_encoder_whose_model_is_not_there_is_planned_and_then_refused_in_one_line(books):
    (books.home / "hubert.onnx").unlink()
    assert planned(books)["hubert"] > planned(books)["number"]
    done = books.doit("features:books", check=False)
    assert done.returncode
    assert "hubert.onnx: not an ONNX model: expected an .onnx file" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
