"""What a manifest would write: the rows of a sample of recordings that scan listed are made and measured."""

from collections.abc import Iterator

from earmark.amounts import Amount, about, exact
from earmark.audio.policy import Policy
from earmark.audio.table import GoodAudio
from earmark.catalog.project import Project
from earmark.estimate.batch import RECORDINGS_SAMPLED
from earmark.rates import RATE_HZ
from earmark.training.manifest_row import dump_row, make_row
from tasks.engine.estimates import NO_SHARD, Expected, Item, Step, count
from tasks.engine.judge import receipt_of
from tasks.engine.speed import Speed, Timed, finished
from tasks.stages import standard_files
from tasks.stages.manifest import NAME, VERSION, ManifestFiles

MANIFEST_ROW = 440  # bytes of a line, as written on the demo
MANIFEST_FILES = 3  # one a split
SOME_AUDIO = GoodAudio(  # in place of audio that is not made yet: a row's size hardly depends on it
    path="",
    source_hash="",
    audio_hash="0" * 32,
    n_samples=123_457,
    source_rate_hz=RATE_HZ,
    source_channels=1,
    decoder="",
    peak=0.0,
    rms=0.0,
    clipped=0.0,
    silence=0.0,
    dc=0.0,
    policy=Policy(),
)


def _timed(project: Project, dataset: str) -> Iterator[Timed]:
    """Yield the rows of a finished manifest."""
    for receipt in finished([project.receipt(NAME, dataset)], ManifestFiles, VERSION):
        yield float(receipt.counts["rows"]), receipt.seconds


SPEED = Speed("rows a second", 20_000.0, _timed)


def estimate(expected: Expected, step: Step) -> None:
    """Add the manifests, where their rows change or might."""
    if step.state not in "RU" or (step.state == "U" and not expected.todo):
        return
    if step.state == "U":
        step.why, step.run = ["the stages before it run first"], 1
    known = expected.files_listed
    row, words = _row_bytes(expected)
    new = expected.new.files if NO_SHARD in expected.todo else Amount()
    receipt = receipt_of(expected.project, step.unit, ManifestFiles)
    before = sum(sealed.size for sealed in receipt.outputs.files.values()) if receipt else 0
    size = exact(known) * row + new * (row if known else about(MANIFEST_ROW, 1.5))
    step.items.append(Item("manifests", expected.project.manifests, size, MANIFEST_FILES, before))
    speed, measured = SPEED.seconds_per_unit(expected.query, expected.dataset)
    step.seconds = (exact(known) + new) * speed
    step.inputs += [f"{count(known + new.likely)} rows x {words}", measured]


def _row_bytes(expected: Expected) -> tuple[Amount, str]:
    """Return the bytes of a manifest row, from a sample of what scan listed."""
    rows = expected.sample()[:RECORDINGS_SAMPLED]
    if not rows:
        return about(MANIFEST_ROW, 1.5), f"{MANIFEST_ROW} bytes, assumed"
    path_of = standard_files.audio_path(expected.project, expected.dataset)
    lines = (dump_row(make_row(expected.dataset, row, SOME_AUDIO, path_of(row.path), expected.form)) for row in rows)
    mean = sum(map(len, lines)) / len(rows)
    return Amount(mean * 0.97, mean, mean * 1.03), f"{mean:.0f} bytes, from {len(rows):,} listed recordings"
