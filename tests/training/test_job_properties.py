"""Jobs over random manifests, compared with a checker that knows nothing of how they are made: every pair of rows."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_jobs import Work, row

from earmark.errors import JobError
from earmark.rows import SPLITS

LABELS = ("speaker_id", "group_id")
KINDS = ("audio_hash", *LABELS)
LATER = {split: set(SPLITS[at + 1 :]) for at, split in enumerate(SPLITS)}
NO_LABELS = {"id", "audio_path", "audio_hash", "duration", "sample_rate", "dataset", "split", "start", "end"}

few = st.sampled_from("xyz")
sounds = st.integers(0, 8)
recordings = st.fixed_dictionaries(
    {"dataset": st.sampled_from("abc"), "split": st.sampled_from(SPLITS), "sound": sounds},
    optional={
        "speaker_id": few,
        "speaker_ids": st.lists(few, min_size=1, max_size=2),
        "group_id": few,
        "language": st.sampled_from(("de", "en")),
        "segments": st.lists(few, min_size=1, max_size=2),
        "stems": st.dictionaries(st.sampled_from(("vocals", "drums")), sounds, min_size=1),
    },
)
facts = st.fixed_dictionaries(
    {
        "disjoint": st.lists(st.sampled_from(LABELS), unique=True).map(tuple),
        "spaces": st.dictionaries(st.sampled_from(LABELS), st.sampled_from(("one", "other"))),
    }
)
units = st.sampled_from(("recording", "segment"))


def made(found):
    """Return the manifest row of a drawn recording."""
    labels = {name: value for name, value in found.items() if name not in ("segments", "stems")}
    if "segments" in found:
        spans = [{"start": at / 2, "end": at / 2 + 0.5, "speaker_id": one} for at, one in enumerate(found["segments"])]
        labels["segments"] = spans
    if "stems" in found:
        heard = {name: row(sound=sound) for name, sound in found["stems"].items()}
        names = ("id", "audio_path", "audio_hash")
        labels["stems"] = {stem: {name: one[name] for name in names} for stem, one in heard.items()}
    return row(**labels)


works = st.tuples(
    st.lists(recordings.map(made), min_size=1, max_size=12), st.fixed_dictionaries(dict.fromkeys("abc", facts))
)


def values_of(one, label):
    """Return the values of a label that a written row has, in its segments and lists too."""
    if label == "audio_hash":
        return {one["audio_hash"], *(stem["audio_hash"] for stem in one.get("stems", {}).values())}
    values = [one.get(label), *one.get(f"{label}s", []), *(part.get(label) for part in one.get("segments", []))]
    return {value for value in values if value is not None}


def space_of(one, label, facts_of):
    """Return within what the values of a label are compared; the same sound is the same everywhere."""
    return "" if label == "audio_hash" else facts_of[one["dataset"]]["spaces"].get(label, f"only {one['dataset']}")


def leaks(rows, facts_of):
    """Return what rows of two splits share and must not: (kind, space, value, split, the other split)."""
    shared = set()
    for (split, one), (other_split, other) in permutations(rows, 2):
        for label in KINDS if split != other_split else ():
            demanded = label == "audio_hash" or label in (
                *facts_of[one["dataset"]]["disjoint"],
                *facts_of[other["dataset"]]["disjoint"],
            )
            space = space_of(one, label, facts_of)
            if demanded and space == space_of(other, label, facts_of):
                both = values_of(one, label) & values_of(other, label)
                shared |= {(label, space, value, split, other_split) for value in both}
    return shared


def kinds_of(split, one, shared, facts_of):
    """Return {kind: the other splits} of the leaks of which a row is one side."""
    kinds = {}
    for label, space, value, own, other in shared:
        if own == split and space == space_of(one, label, facts_of) and value in values_of(one, label):
            kinds.setdefault(label, set()).add(other)
    return kinds


def run(folder, drawn, unit, **table):
    """Run a job; return its summary and the rows that it wrote with their splits."""
    rows, facts_of = drawn
    work = Work(folder)
    for name in sorted(facts_of):
        work.add(name, [one for one in rows if one["dataset"] == name], **facts_of[name])
    summary = work.run(unit=unit, **table)
    return summary, [(split, one) for split in SPLITS for one in work.rows(split)]


def demanded_kinds(facts_of):
    return sorted({label for facts in facts_of.values() for label in facts["disjoint"]} | {"audio_hash"})


def reasons(kinds):
    return {"accept_leakage": dict.fromkeys(kinds, "a test")}


with_folder = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@with_folder
@given(works, units)
def test_a_job_fails_exactly_where_two_rows_leak(tmp_path, drawn, unit):
    facts_of = drawn[1]
    rows = run(tmp_path, drawn, unit, **reasons(demanded_kinds(facts_of)))[1]
    kinds = {kind for kind, *_ in leaks(rows, facts_of)}
    if not kinds:
        assert run(tmp_path, drawn, unit)[0].leakage == {}
        return
    with pytest.raises(JobError) as error:
        run(tmp_path, drawn, unit)
    assert {kind for kind in KINDS if f"values of {kind} that" in str(error.value)} == kinds


@pytest.mark.slow
@with_folder
@given(works, units, st.sets(st.sampled_from(KINDS)))
def test_dropping_leaves_no_leak_and_takes_nothing_else(tmp_path, drawn, unit, accepted):
    facts_of = drawn[1]
    accepted &= set(demanded_kinds(facts_of))
    before = run(tmp_path, drawn, unit, **reasons(demanded_kinds(facts_of)))[1]
    shared = leaks(before, facts_of)
    leaking = {one["id"]: kinds_of(split, one, shared, facts_of) for split, one in before}
    barred = {kind for kind, *_ in shared} - accepted
    kept = [
        (split, one)
        for split, one in before
        if not any(LATER[split] & leaking[one["id"]].get(kind, set()) for kind in barred)
    ]
    if not kept:
        with pytest.raises(JobError, match="not one row to write"):
            run(tmp_path, drawn, unit, leakage="drop", **reasons(accepted))
        return
    summary, rows = run(tmp_path, drawn, unit, leakage="drop", **reasons(accepted))
    assert rows == kept
    assert {kind for kind, *_ in leaks(rows, facts_of)} <= accepted
    rows_kept = {kind: facts["rows_kept"] for kind, facts in summary.leakage.items() if "rows_kept" in facts}
    counted = Counter(kind for _, one in rows for kind in leaking[one["id"]] if kind in accepted)
    assert rows_kept == {kind: counted[kind] for kind, *_ in shared if kind in accepted}
    dropped = [facts["rows_dropped"] for facts in summary.leakage.values() if "rows_dropped" in facts]
    assert sum(dropped) == len(before) - len(kept)


@pytest.mark.slow
@with_folder
@given(works, units)
def test_the_summary_counts_what_is_in_the_files(tmp_path, drawn, unit):
    """Counted again from the written rows alone; what is left out, from those of a job that takes all."""
    facts_of = drawn[1]
    table = {"without": {"language": "de"}, **reasons(demanded_kinds(facts_of))}
    every = run(tmp_path, drawn, unit, **reasons(demanded_kinds(facts_of)))[1]
    german = Counter(one["dataset"] for _, one in every if one.get("language") == "de")
    if german.total() == len(every):
        with pytest.raises(JobError, match="not one row to write: left out are"):
            run(tmp_path, drawn, unit, **table)
        return
    summary, rows = run(tmp_path, drawn, unit, **table)
    counts = summary.as_json()

    def count(chosen):
        speakers = {
            (space_of(one, "speaker_id", facts_of), value)
            for _, one in chosen
            for value in values_of(one, "speaker_id")
        }
        return {
            "rows": len(chosen),
            "hours": round(sum(one["duration"] for _, one in chosen) / 3600, 3),
            "speakers": len(speakers),
            "languages": dict(sorted(Counter(one["language"] for _, one in chosen if "language" in one).items())),
        }

    assert counts["splits"] == {split: count([item for item in rows if item[0] == split]) for split in SPLITS}
    here = sorted({one["dataset"] for _, one in rows})
    assert counts["datasets"] == {name: count([item for item in rows if item[1]["dataset"] == name]) for name in here}
    labels = {name: Counter() for name in here}
    for _, one in rows:
        labels[one["dataset"]].update(set(one) - NO_LABELS)
    assert counts["labels"] == {name: dict(sorted(found.items())) for name, found in labels.items()}
    assert counts["rows"] == len(rows)
    assert counts["left_out"] == {name: {"language de": count} for name, count in german.items()}


@pytest.mark.slow
@with_folder
@given(works, works, st.integers(0, 9))
def test_a_dataset_that_joins_moves_no_row_of_the_others(tmp_path, drawn, more, seed):
    """The split of a group follows from the group alone."""
    facts_of = drawn[1]
    table = {"split": "group", "dev": 0.3, "test": 0.3, "seed": seed, **reasons(demanded_kinds(facts_of))}
    alone = run(tmp_path, drawn, "recording", **table)[1]
    newcomer = [one | {"dataset": "new"} for one in more[0]]
    together = (drawn[0] + newcomer, facts_of | {"new": {"disjoint": (), "spaces": {"speaker_id": "one"}}})
    assert [item for item in run(tmp_path, together, "recording", **table)[1] if item[1]["dataset"] != "new"] == alone
