"""States of many units as one, on stages whose units say what they are told to: nothing is read but a catalog."""

import importlib
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.catalog.project import open_project
from earmark.disk.shards import SealedShard
from tasks.engine import rollup
from tasks.engine.rollup import WORST_FIRST, Query, blocked_by, judge_stage, roll_up, survey, worst
from tasks.engine.stage import Built, Rule, Run, Stage, Verdict
from tasks.engine.units import Unit
from tasks.stages.registry import STAGES

SHARDS = ("0000", "0001")
states = st.sampled_from(WORST_FIRST).map(lambda state: Verdict(state, (f"because {state}",)))


class Nothing(msgspec.Struct, frozen=True):
    """What these rules make."""


def never(*_):
    raise AssertionError("nothing is to be judged for real")


RULE = Rule("x", 1, Nothing, never, never, lambda *_: Built(Nothing(), {}))
SHARD = SealedShard("a", "b", 1, 1)
DECLARED = (
    Stage("fetch", "{}", RULE),
    Stage("list", "{}", RULE, follows=("fetch",), shards=lambda *_: dict.fromkeys(SHARDS, SHARD)),
    Stage("clean", "{}", RULE, follows=("list",), shard=RULE, shard_follows="list"),
    Stage("index", "{}", RULE, follows=("list", "clean")),
    Stage("encode", "{}", RULE, follows=("index",), shard=RULE, shard_follows="clean"),
)


@dataclass
class World:
    """Units by name that are not current; what `judge` would say of them."""

    query: Query
    late: dict[str, Verdict] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)

    def lines(self):
        return {line.unit.stage: line for line in survey(self.query, "books")}

    def shards(self, stage):
        return {unit.part: verdict for unit, verdict in self.lines()[stage].shards}


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "datasets.toml").write_text("", "utf-8")
    ignored: set[str] = set()
    query = Query(Run(open_project(tmp_path / "datasets.toml"), DECLARED), ignored.__contains__)
    made = World(query, ignored=ignored)
    monkeypatch.setattr(rollup, "judge", lambda _run, _rule, unit: made.late.get(str(unit), Verdict("U")))
    return made


@given(st.lists(states, min_size=1))
def test_the_worst_state_names_several(verdicts):
    named = worst(verdicts)
    assert named in verdicts
    assert all(WORST_FIRST.index(named.state) <= WORST_FIRST.index(verdict.state) for verdict in verdicts)


@given(states, st.lists(states))
def test_a_stage_is_current_only_if_it_and_all_its_shards_are(own, shards):
    rolled = roll_up(own, shards)
    if rolled.state == "U":
        assert own.state == "U" and all(shard.state == "U" for shard in shards)
    if own.state in "EAI":
        assert rolled == own


def test_everything_is_current_where_nothing_is_late(world):
    assert {stage: line.verdict.state for stage, line in world.lines().items()} == {
        "fetch": "U", "list": "U", "clean": "U", "index": "U", "encode": "U"
    }  # fmt: skip
    assert world.lines()["clean"].current == len(SHARDS)


@pytest.mark.parametrize("state", "REAI")
def test_what_comes_after_a_stage_that_is_not_current_is_not_either(world, state):
    world.late["list:books"] = Verdict(state, ("new files",))
    lines = world.lines()
    expected = blocked_by(Unit("list", "books"), Verdict(state))
    assert [lines[stage].verdict for stage in ("clean", "index")] == [expected] * 2
    assert lines["encode"].verdict.state == state
    assert world.shards("clean") == dict.fromkeys(SHARDS, expected)
    assert {verdict.state for verdict in world.shards("encode").values()} == {state}


def test_one_late_shard_makes_the_same_shard_late_later_on_and_no_other(world):
    world.late["clean:books:0001"] = Verdict("R", ("audio changed",))
    assert world.shards("encode") == {"0000": Verdict("U"), "0001": Verdict("R", ("clean:books:0001 would run first",))}
    assert world.lines()["index"].verdict.state == "R"


def test_a_gathering_that_is_late_stops_no_shard(world):
    world.late["clean:books"] = Verdict("R", ("max_bad changed",))
    assert world.shards("encode") == dict.fromkeys(SHARDS, Verdict("U"))
    assert world.lines()["encode"].verdict.state == "R"


def test_a_shard_on_an_absent_volume_is_absent_later_on_too(world):
    world.late["clean:books:0000"] = away = Verdict("A", ("not mounted",))
    assert world.shards("encode")["0000"] == away


def test_an_ignored_unit_is_ignored_whatever_it_is(world):
    world.ignored.add("encode:books")
    world.late["list:books"] = Verdict("R", ("new files",))
    assert world.lines()["encode"].verdict == Verdict("I", ("doit ignore",))


def test_only_the_shards_that_are_named_are_judged(world):
    world.late["clean:books:0001"] = Verdict("R", ("audio changed",))
    line = judge_stage(world.query, DECLARED[2], "books", ["0000"])
    assert [unit.part for unit, _ in line.shards] == ["0000"]
    assert line.verdict.state == "U"


NAMES = st.text(st.characters(exclude_characters=":", exclude_categories=("Cs",)), min_size=1)


@given(NAMES, NAMES, NAMES | st.just(""))
def test_the_name_of_a_unit_means_that_unit(stage, dataset, part):
    unit = Unit(stage, dataset, part)
    assert Unit.parse(str(unit)) == unit
    assert str(unit.whole) == f"{stage}:{dataset}"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_declares_only_stages_before_it_and_has_an_estimate(stage):

    before = [other.name for other in STAGES[: STAGES.index(stage)]]
    assert set(stage.follows) <= set(before)
    assert (stage.shard is None) == (stage.shard_follows == "")
    assert stage.shard_follows in {"", *before}
    assert callable(importlib.import_module(f"tasks.stages.{stage.name}_estimate").estimate)
    assert stage.doc.format("books") != stage.doc


def test_one_stage_lists_the_shards():
    assert [stage.name for stage in STAGES if stage.shards is not None] == ["scan"]
