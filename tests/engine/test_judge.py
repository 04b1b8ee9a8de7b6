"""How a unit is judged and built, on a rule that writes one small file: five verdicts, one more try, one line a failure."""

import errno
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from doit.exceptions import TaskFailed

from earmark.catalog.project import Project, open_project
from earmark.disk.files import publish
from earmark.disk.receipts import SealedFile, read_receipt
from earmark.errors import AbsentError, CorpusError, WorkerError
from tasks.engine.judge import broken, judge, perform, receipt_of, seal_file
from tasks.engine.stage import Built, Rule, Run, UpstreamError, Verdict
from tasks.engine.units import Unit

UNIT = Unit("copy", "books", "0001")


class Copied(msgspec.Struct, frozen=True):
    """What the rule of these tests makes."""

    file: SealedFile


@dataclass
class Copy:
    """A rule that writes `text` to manifests/out.txt, and fails where it is told to."""

    text: str = "hello"
    fail_inputs: Exception | None = None
    fail_builds: list[Exception] = field(default_factory=list)  # one a try
    prepared: int = 0
    built: int = 0
    during: Callable[[], None] = lambda: None

    def inputs(self, run: Run, unit: Unit) -> dict[str, object]:
        if self.fail_inputs:
            raise self.fail_inputs
        return {"text": self.text, "settings": {"loud": False}}

    def intact(self, run: Run, unit: Unit, receipt) -> list[str]:
        return broken(run.project, [receipt.outputs.file])

    def prepare(self, run: Run, unit: Unit) -> None:
        self.prepared += 1

    def build(self, run: Run, unit: Unit) -> Built[Copied]:
        self.built += 1
        if self.fail_builds:
            raise self.fail_builds.pop(0)
        target = run.project.manifests / "out.txt"
        publish(target, self.text.encode(), run.project.scratch)
        self.during()
        return Built(Copied(seal_file(run.project, target)), {"files": 1}, len(self.text))

    def rule(self, **changed) -> Rule[Copied]:
        return replace(Rule("copy", 1, Copied, self.inputs, self.intact, self.build, self.prepare), **changed)


@pytest.fixture
def project(tmp_path: Path):
    (tmp_path / "datasets.toml").write_text("", "utf-8")
    opened = open_project(tmp_path / "datasets.toml")
    yield opened
    opened.memo.close()


@pytest.fixture
def run(project: Project) -> Run:
    return Run(project, stages=())


@pytest.fixture
def copy() -> Copy:
    return Copy()


@pytest.fixture
def finished(run: Run, copy: Copy) -> Copy:
    """The rule, its unit built once."""
    assert perform(run, copy.rule(), UNIT) is None
    return copy


def receipt_path(project: Project) -> Path:
    return project.receipt(UNIT.stage, UNIT.dataset, UNIT.part)


# Verdicts


def test_a_unit_that_was_never_built_would_run_and_judging_writes_nothing(run, copy):
    assert judge(run, copy.rule(), UNIT) == Verdict("R", ("never built",))
    assert [path.name for path in run.project.home.iterdir()] == ["datasets.toml"]
    assert copy.built == copy.prepared == 0


def test_a_finished_unit_is_current(run, finished):
    assert judge(run, finished.rule(), UNIT) == Verdict("U")


def test_a_damaged_receipt_is_called_that(run, finished):
    receipt_path(run.project).write_text("{}", "utf-8")
    assert judge(run, finished.rule(), UNIT) == Verdict("R", ("its receipt is damaged",))


def test_another_version_of_the_rule_is_named(run, finished):
    said = Verdict("R", ("earmark's copy changed (version 1 -> 2)",))
    assert judge(run, finished.rule(version=2), UNIT) == said


def test_an_input_that_changed_is_named(run, finished):
    finished.text = "bye"
    assert judge(run, finished.rule(), UNIT) == Verdict("R", ("text changed (hello -> bye)",))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "manifests/out.txt is gone"),
        (lambda path: path.write_text("hello!"), "manifests/out.txt has 6 bytes instead of 5"),
        (lambda path: path.write_text("hallo"), "manifests/out.txt was changed"),
    ],
)
def test_what_is_wrong_with_finished_outputs_is_named(run, finished, damage, words):
    damage(run.project.manifests / "out.txt")
    assert judge(run, finished.rule(), UNIT) == Verdict("R", (words,))


def test_outputs_that_were_only_touched_are_current(run, finished):
    path = run.project.manifests / "out.txt"
    path.write_bytes(path.read_bytes())
    assert judge(run, finished.rule(), UNIT) == Verdict("U")


@pytest.mark.parametrize(("watches", "state"), [(False, "U"), (True, "R")])
def test_where_outputs_are_trusted_only_rules_that_watch_look_at_them(run, finished, watches, state):
    (run.project.manifests / "out.txt").unlink()
    trusting = Run(run.project, stages=(), thorough=False)
    assert judge(trusting, finished.rule(watches=watches), UNIT).state == state


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (UpstreamError("scan:books has not run"), Verdict("R", ("scan:books has not run",))),
        (AbsentError("data/books: not mounted?"), Verdict("A", ("data/books: not mounted?",))),
        (CorpusError("data/books: empty"), Verdict("E", ("data/books: empty",))),
        (
            PermissionError(errno.EACCES, "Permission denied", "data/books"),
            Verdict("E", ("data/books: cannot be read: Permission denied",)),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("before", ["never built", "finished"])
def test_what_keeps_inputs_from_being_known_is_the_verdict_whatever_was_built(run, copy, before, error, verdict):
    if before == "finished":
        perform(run, copy.rule(), UNIT)
    copy.fail_inputs = error
    assert judge(run, copy.rule(), UNIT) == verdict


def test_a_fault_of_our_own_is_no_verdict(run, copy):
    copy.fail_inputs = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        judge(run, copy.rule(), UNIT)


# Building


def test_a_build_is_sealed_by_a_receipt_that_says_what_from_and_what(run, finished):
    receipt = receipt_of(run.project, UNIT, Copied)
    assert (receipt.stage, receipt.version, receipt.counts) == ("copy", 1, {"files": 1})
    assert receipt.inputs == {"text": "hello", "settings": {"loud": False}}
    assert (receipt.outputs.file.path, receipt.outputs.file.size) == ("manifests/out.txt", 5)
    assert (run.log.units_done, run.log.written_bytes) == (["copy:books:0001"], 5)
    assert finished.prepared == finished.built == 1


def test_a_current_unit_is_counted_and_not_built_again(run, finished):
    assert perform(run, finished.rule(), UNIT) is None
    assert (finished.built, run.log.units_reused) == (1, 1)


def test_force_builds_what_is_current(run, finished):
    assert perform(replace(run, force=True), finished.rule(), UNIT) is None
    assert finished.built == 2


def test_a_build_repairs_what_was_wrong(run, finished):
    (run.project.manifests / "out.txt").unlink()
    assert perform(run, finished.rule(), UNIT) is None
    assert judge(run, finished.rule(), UNIT) == Verdict("U")


def test_an_edit_during_the_work_is_noticed_next_time(run, copy):
    copy.during = lambda: setattr(copy, "text", "edited meanwhile")
    assert perform(run, copy.rule(), UNIT) is None
    assert judge(run, copy.rule(), UNIT) == Verdict("R", ("text changed (hello -> edited meanwhile)",))


def test_a_worker_that_died_is_given_one_more_try_and_that_is_noted(run, copy, capsys):
    copy.fail_builds = [WorkerError("decode(a.wav): worker process died.")]
    assert perform(run, copy.rule(), UNIT) is None
    assert copy.built == 2
    assert "copy:books:0001: decode(a.wav): worker process died. Trying once more." in capsys.readouterr().out
    assert judge(run, copy.rule(), UNIT) == Verdict("U")


def failed(outcome: TaskFailed | None) -> str:
    """Return the one line of a failure."""
    assert isinstance(outcome, TaskFailed)
    assert "\n" not in outcome.message
    return outcome.message


def test_a_worker_that_dies_twice_fails_the_unit(run, copy):
    copy.fail_builds = [WorkerError("died once"), WorkerError("died twice"), WorkerError("never tried")]
    assert failed(perform(run, copy.rule(), UNIT)) == "died twice"
    assert copy.built == 2


@pytest.mark.parametrize(
    "error",
    [CorpusError("data/books: empty"), AbsentError("data/books: vanished"), sqlite3.OperationalError("disk I/O error")],
    ids=lambda error: type(error).__name__,
)
def test_an_expected_failure_is_one_line_without_a_second_try_and_leaves_no_receipt(run, copy, error):
    copy.fail_builds = [error]
    assert str(error) in failed(perform(run, copy.rule(), UNIT))
    assert copy.built == 1
    assert not receipt_path(run.project).exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_that_names_the_file_and_what_is_free(run, copy, code):
    copy.fail_builds = [OSError(code, "No space", str(run.project.manifests / "out.txt"))]
    said = failed(perform(run, copy.rule(), UNIT))
    assert "manifests/out.txt: disk full or file size limit reached" in said
    assert "bytes free" in said and "finished work is kept" in said


def test_a_full_disk_without_a_file_names_the_cache(run, copy):
    copy.fail_builds = [OSError(errno.ENOSPC, "No space")]
    assert failed(perform(run, copy.rule(), UNIT)).startswith(f"{run.project.cache}: disk full")


def test_a_failed_build_leaves_the_receipt_of_the_one_before(run, finished):
    before = receipt_path(run.project).read_bytes()
    finished.text, finished.fail_builds = "bye", [CorpusError("x")]
    assert failed(perform(run, finished.rule(), UNIT)) == "x"
    assert receipt_path(run.project).read_bytes() == before
    assert judge(run, finished.rule(), UNIT).state == "R"


def test_a_unit_on_an_absent_volume_is_not_built_and_keeps_its_receipt(run, finished):
    finished.fail_inputs = AbsentError("data/books: not mounted?")
    assert failed(perform(run, finished.rule(), UNIT)) == "data/books: not mounted?"
    assert finished.built == 1
    assert read_receipt(receipt_path(run.project), Copied) is not None


def test_outputs_on_an_absent_volume_are_not_built_anew_unless_forced(run, finished):
    """`doit -a` is how a user says that the volume will not come back."""

    def absent(*_):
        raise AbsentError("data/standard: not mounted?")

    rule = finished.rule(intact=absent)
    assert failed(perform(run, rule, UNIT)) == "data/standard: not mounted?"
    assert finished.built == 1
    assert perform(replace(run, force=True), rule, UNIT) is None
    assert finished.built == 2


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.EBADF, "Bad file descriptor")], ids=repr)
def test_a_fault_that_nobody_expects_keeps_its_traceback(run, copy, error):
    copy.fail_builds = [error]
    with pytest.raises(type(error)):
        perform(run, copy.rule(), UNIT)
    assert not receipt_path(run.project).exists()
