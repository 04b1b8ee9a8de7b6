"""Shared fixtures: small projects on disk, and doit run on them as a user runs it."""

import shutil
from pathlib import Path

import pytest
from support.collection import Collection, write_chapter
from support.models import write_model

pytest.register_assert_rewrite("support.encoder_promises")  # its asserts are tests, and should explain themselves


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """An empty collection with a small seeded encoder."""
    made = Collection(tmp_path / "collection")
    made.write_catalog()
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection with one dataset, `books`: eight recordings in two shards, all stages done. Copy it."""
    made = Collection(tmp_path_factory.mktemp("finished") / "collection")
    root = made.add_dataset("books", shard_files=4)
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    write_chapter(root, "1-10", {number: number for number in range(4)})
    write_chapter(root, "2-20", {number: 10 + number for number in range(4)}, split="dev-clean")
    made.doit("features:books")
    return made


@pytest.fixture
def two_shards(finished: Collection, tmp_path: Path) -> Collection:
    """A copy of `finished`, scanned again because inodes and ctimes differ; everything is current."""
    home = tmp_path / "collection"
    shutil.copytree(finished.home, home)
    made = Collection(home, {name: dict(table) for name, table in finished.datasets.items()})
    made.doit("features:books")
    return made


@pytest.fixture(scope="session")
def demo_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's archive, synthesised once."""
    from earmark.demo.corpus import write_corpus
    from earmark.disk.files import Scratch

    folder = tmp_path_factory.mktemp("demo")
    write_corpus(folder / "earmark-demo.tar.gz", Scratch(folder / "tmp"))
    return folder / "earmark-demo.tar.gz"
