"""Products: nothing that earmark did not make, or that was changed by hand, is lost to a run."""

import pytest
from support.runs import open_run

from earmark.disk.hashing import hash_bytes
from earmark.disk.receipts import SealedFile
from earmark.errors import ForeignError
from tasks.engine.products import Products
from tasks.engine.units import Unit

UNIT = Unit("manifest", "x")


@pytest.fixture
def run(collection):
    return open_run(collection.home / "datasets.toml")


def sealed(run, path, data):
    return SealedFile(run.project.relative(path), len(data), hash_bytes(data))


def write(run, before, files):
    products = Products(run, UNIT, before)
    with products.publishing(files[0][0]) as first, products.publishing(files[-1][0]) as last:
        for temporary, (_, data) in zip((first, last), files, strict=True):
            temporary.write_bytes(data)
        products.settle()


@pytest.fixture
def places(run):
    run.project.manifests.mkdir()
    return run.project.manifests / "x_train.jsonl", run.project.manifests / "x_dev.jsonl"


def test_a_file_that_no_receipt_names_is_refused_by_name_and_no_other_product_is_put_in_place(run, places):
    train, dev = places
    dev.write_bytes(b"mine")
    with pytest.raises(ForeignError, match=r"manifests/x_dev.jsonl: .* Move it away"):
        write(run, [], [(train, b"new"), (dev, b"new")])
    assert dev.read_bytes() == b"mine"
    assert not train.exists()


def test_a_file_that_equals_the_new_one_is_that_of_a_run_that_was_killed(run, places):
    train, dev = places
    dev.write_bytes(b"new")
    write(run, [], [(train, b"new"), (dev, b"new")])
    assert [path.read_bytes() for path in places] == [b"new", b"new"]


def test_a_product_as_it_was_made_is_replaced(run, places):
    train, dev = places
    train.write_bytes(b"old")
    write(run, [sealed(run, train, b"old")], [(train, b"new"), (dev, b"new")])
    assert sorted(path.name for path in run.project.manifests.iterdir()) == ["x_dev.jsonl", "x_train.jsonl"]


def test_a_product_that_was_changed_by_hand_is_kept_beside_the_new_one(run, places):
    train, dev = places
    for edit in (b"by hand", b"again by hand"):
        train.write_bytes(edit)
        write(run, [sealed(run, train, b"old")], [(train, b"new"), (dev, b"new")])
    kept = {path.name: path.read_bytes() for path in run.project.manifests.glob("*.edited*")}
    assert kept == {"x_train.jsonl.edited": b"by hand", "x_train.jsonl.edited-2": b"again by hand"}
    assert train.read_bytes() == b"new"


def test_a_product_that_is_no_longer_made_is_deleted_unless_it_was_changed(run, places):
    train, dev = places
    train.write_bytes(b"old")
    dev.write_bytes(b"by hand")
    products = Products(run, UNIT, [sealed(run, path, b"old") for path in places])
    for path in places:
        products.remove(path)
    assert [path.name for path in run.project.manifests.iterdir()] == ["x_dev.jsonl.edited"]


def test_a_product_that_is_not_settled_is_a_fault_of_the_code(run, places):
    with pytest.raises(AssertionError), Products(run, UNIT, []).publishing(places[0]) as temporary:
        temporary.write_bytes(b"new")
    assert not places[0].exists()
