"""What stands in a tree and is in no recording and no finding is counted by suffix."""

import pytest

from earmark import corpora
from earmark.corpora import Finding, Recording
from earmark.disk import watch
from tasks.stages.passed_over import NO_SUFFIX, PassedOver

TREE = {
    "a.wav": b"", "b/c.flac": b"", "b/forgotten.wav": b"", "video.ts": b"", "b/x.ts": b"", "doc/paper.pdf": b"",
    "metadata.csv": b"", "README": b"text", "b/take one": b"RIFF....WAVE", "clip": b"\0\0\0 ftypM4A ", "data.zip": b"",
    "._a.wav": b"", ".cache/z.wav": b"", "stem.mp4": b"", "b.parquet": b"",
}  # fmt: skip
ITEMS = [
    Recording("a", "a.wav"),
    Recording("s0", "stem.mp4/0.stream"),
    Recording("s1", "stem.mp4/1.stream"),
    Recording("0", "b.parquet/0.row"),
    Finding(corpora.AUDIO_WITHOUT_LABEL, "b/c.flac", "x"),
    Finding(corpora.BROKEN_LABEL, "metadata.csv:3", "x"),
    Finding(corpora.LABEL_WITHOUT_AUDIO, "gone.wav", "x"),
]


@pytest.fixture
def tree(tmp_path):
    for name, data in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("mode", ["files", "folders"])
def test_each_suffix_is_one_finding_with_its_number(tree, mode):
    passed = PassedOver(tree, {"data.zip"}, watch.take(tree, mode, {"data.zip"}))
    for item in ITEMS:
        passed.take(item)
    found = {finding.detail.partition(":")[0]: finding.path for finding in passed.findings()}
    wanted = {"1 x .pdf": "doc/paper.pdf", "2 x .ts": "b/x.ts", f"2 x {NO_SUFFIX}": "b/take one"}
    assert {what: path for what, path in found.items() if what != "1 x .wav"} == wanted
    assert "1 x .wav" in found
    assert all(corpora.PASSED_OVER in corpora.KINDS for _ in found)


def test_nothing_is_told_of_a_tree_that_was_read_whole(tree):
    for name in ("b/forgotten.wav", "video.ts", "b/x.ts", "doc/paper.pdf", "b/take one", "clip", "data.zip"):
        (tree / name).unlink()
    passed = PassedOver(tree, set(), watch.take(tree, "files"))
    for item in ITEMS:
        passed.take(item)
    assert list(passed.findings()) == []
