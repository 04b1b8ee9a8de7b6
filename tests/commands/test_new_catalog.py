"""`doit new-catalog at=...`: a catalog of one's own, which works at once."""

import os
import subprocess
import sys

import pytest
from support.collection import CHECKOUT

from earmark.catalog.read import read_catalog
from earmark.errors import CatalogError, DiskFullError
from tasks.cli.new_catalog import CATALOG, write


def doit(*command, catalog=None, check=True):
    environment = {name: value for name, value in os.environ.items() if name != "EARMARK_CATALOG"}
    return subprocess.run(
        [sys.executable, "-m", "doit", *command],
        cwd=CHECKOUT,
        env=environment | ({"EARMARK_CATALOG": str(catalog)} if catalog else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=check,
    )


def test_it_is_written_says_how_to_use_it_and_works(tmp_path):
    path = tmp_path / "my speech" / "datasets.toml"
    done = doit("new-catalog", f"at={path.parent}")
    assert f"written: {path}" in done.stdout
    assert f"EARMARK_CATALOG='{path}' doit list" in done.stdout
    listed = doit("list", catalog=path).stdout
    count = len(read_catalog(CHECKOUT / "datasets.toml").datasets)
    assert f"on this disk (1 of the {count} datasets in datasets.toml):\n  demo" in listed
    assert [entry.name for entry in path.parent.iterdir()] == ["datasets.toml"]


def test_what_is_commented_out_is_right_too(tmp_path):
    text = "\n".join(
        line[2:] if line.startswith(("# [", "# model", "# max_bad")) else line for line in CATALOG.splitlines()
    )
    catalog, shipped = read_catalog(tmp_path / "x.toml", text), read_catalog(tmp_path / "x.toml", CATALOG)
    assert catalog.encoders_of("mls_english") == ("whisper-base",)
    assert catalog.datasets["librispeech"].max_bad == 0.01
    assert shipped.encoders_of("mls_english") == ("whisper-tiny",)
    assert (
        catalog.datasets.keys() == shipped.datasets.keys() == read_catalog(CHECKOUT / "datasets.toml").datasets.keys()
    )


def test_a_toml_file_may_be_named_and_a_relative_path_begins_where_the_shell_is(tmp_path):
    assert write("mine.toml", tmp_path) == tmp_path / "mine.toml"
    assert write("deep/er", tmp_path) == tmp_path / "deep/er/datasets.toml"
    assert (tmp_path / "mine.toml").read_text("utf-8") == CATALOG


@pytest.mark.parametrize("at", ["here", "here/datasets.toml", "file/x", "file/x.toml", "", "pipe.toml"])
def test_nothing_is_written_over_and_a_wrong_place_is_one_line(tmp_path, at):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/datasets.toml").write_text("mine", "utf-8")
    (tmp_path / "file").write_text("mine", "utf-8")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises((CatalogError, DiskFullError)) as error:
        write(at, tmp_path)
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / "here/datasets.toml").read_text("utf-8") == (tmp_path / "file").read_text("utf-8") == "mine"


def test_a_refusal_is_one_line_of_the_command(tmp_path):
    done = doit("new-catalog", check=False)
    assert done.returncode
    assert "no place: expected a folder, as in `doit new-catalog at=/some/where`." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_catalog_that_is_missing_says_what_writes_one(tmp_path):
    done = doit("new-catalog", f"at={tmp_path}", catalog=tmp_path / "datasets.toml", check=False)
    assert "Where EARMARK_CATALOG is unset, `doit new-catalog at=<folder>` writes one." in done.stderr
    assert "Traceback" not in done.stderr
