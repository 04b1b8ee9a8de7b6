"""Shared fixtures: small projects on disk, and doit run on them as a user runs it."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.collection import BYTECODE, Collection, write_chapter
from support.models import write_model

TESTS = Path(__file__).parent
# `pytest -m fast` is for the moment after an edit: whole folders, so that a new test belongs to it without being
# listed, but neither decoders of many formats nor engines, and no reader of a corpus: they take minutes between them.
FAST = ("audio", "catalog", "disk", "engine", "house", "training")
COSTLY = {"collection", "finished", "two_shards", "demo_archive", "mlx_audio"}


def pytest_configure() -> None:
    """Share the bytecode that the first worker compiles with all others, and judge no property by its speed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(BYTECODE)
    sys.dont_write_bytecode = False
    settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy machine")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave folders that have nothing fast in them unread when only fast tests are asked for."""
    left_out = collection_path.parent == TESTS and collection_path.is_dir() and collection_path.name not in FAST
    return True if left_out and config.option.markexpr == "fast" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is fast."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        costly = not COSTLY.isdisjoint(getattr(item, "fixturenames", ()))
        if folder in FAST and not costly and item.get_closest_marker("slow") is None:
            item.add_marker("fast")


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
