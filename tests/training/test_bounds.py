"""Labels held against the length of their sound, in manifest rows and in jobs."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from earmark.audio.defects import SEGMENT_BEYOND as SEGMENT
from earmark.catalog.tables import JobTable
from earmark.rows import SPLITS
from earmark.training.bounds import ROUNDING_S, defects_found, with_defects
from earmark.training.jobs import write_job
from earmark.training.manifest_row import dump_row
from earmark.training.selection import JobDataset, refusal, rows_of

TIMES = st.integers(0, 400).map(lambda hundredths: hundredths / 100)
SPANS = st.tuples(TIMES, TIMES).map(sorted).map(lambda span: {"start": span[0], "end": span[1]})
DATASET = JobDataset("a", ())


def row(duration=2.0, **labels):
    made = {"id": "r", "audio_path": "a/r.flac", "audio_hash": "0" * 32, "duration": duration, "sample_rate": 16_000}
    return {**made, "dataset": "a", "split": "train", **with_defects(labels, duration)}


def job(**table):
    return JobTable(datasets=("a",), **table)


def run(folder, rows, **table):
    (folder / "a.jsonl").write_bytes(b"".join(map(dump_row, rows)))
    paths = {split: folder / f"out-{split}" for split in SPLITS}
    summary = write_job("x", job(**table), [JobDataset("a", (folder / "a.jsonl",))], paths, lambda _read: None)
    return summary, [orjson.loads(line) for line in paths["train"].read_bytes().splitlines()]


@given(st.lists(SPANS, min_size=1, max_size=6), TIMES)
def test_a_job_never_takes_a_segment_of_which_more_than_rounding_or_half_is_missing(spans, duration):
    found = row(duration, segments=[{**span, "text": "x"} for span in spans])
    for segment, made in zip(spans, rows_of(job(unit="segment"), found), strict=True):
        over = round(segment["end"] - duration, 6)
        if refusal(job(), DATASET, made) == "":
            assert over <= ROUNDING_S
            assert made["duration"] >= (segment["end"] - segment["start"]) / 2 - 1e-6
            assert made["end"] <= duration
        elif segment["end"] > segment["start"] and over <= 0:
            raise AssertionError("a segment inside its sound was left out")


@given(st.lists(SPANS, max_size=6), TIMES, TIMES)
def test_a_row_tells_each_label_that_reaches_beyond_its_sound_and_no_other(spans, duration, stated):
    words = [{**span, "word": "x"} for span in spans]
    labels = {"segments": spans, "words": words} if spans else {}
    found = with_defects({**labels, **({"duration_published": stated} if stated else {})}, duration)
    late = [round(span["end"] - duration, 6) > ROUNDING_S for span in spans]
    kinds = defects_found(found)
    assert ("words beyond the end" in kinds) == any(late)
    assert all("defects" in segment for segment, flag in zip(found.get("segments", []), late, strict=True) if flag)
    assert kinds.count(SEGMENT) == sum("defects" in segment for segment in found.get("segments", []))
    far = bool(stated) and abs(stated - duration) > max(ROUNDING_S, stated / 100)
    assert ("duration_published" in found) == far
    assert bool({"shorter than its labels say", "longer than its labels say"} & set(kinds)) == far


def test_labels_that_fit_are_passed_on_as_they_are():
    labels = {"text": "x", "segments": [{"start": 0.0, "end": 2.05, "text": "y"}], "defects": ["noise"]}
    assert with_defects(labels, 2.0) is labels


def test_a_segment_beyond_the_end_is_left_out_and_counted_in_either_unit(tmp_path):
    segments = [
        {"start": 0.0, "end": 1.0, "text": "ONE"},
        {"start": 1.5, "end": 99.0, "text": "TWO"},
        {"start": 1.98, "end": 2.06, "text": "THREE"},
        {"start": 1.5, "end": 2.05, "text": "FOUR"},
    ]
    summary, made = run(tmp_path, [row(segments=segments)], unit="segment")
    assert [(each["text"], each["end"]) for each in made] == [("ONE", 1.0), ("FOUR", 2.0)]
    assert summary.as_json()["left_out"] == {"a": {SEGMENT: 2}}
    summary, (made,) = run(tmp_path, [row(segments=segments)])
    assert [segment["text"] for segment in made["segments"]] == ["ONE", "FOUR"]
    assert summary.as_json()["left_out"] == {"a": {SEGMENT: 2}}
    _, made = run(tmp_path, [row(segments=segments)], unit="segment", keep_defects=True)
    assert [each["text"] for each in made] == ["ONE", "TWO", "THREE", "FOUR"]
    assert made[1]["defects"] == ["segment beyond the end: 99.000 s of 2.000 s"]
    assert made[1]["end"] == 2.0


def test_a_recording_without_a_good_segment_is_not_taken_for_one_itself(tmp_path):
    rows = [row(segments=[{"start": 3.0, "end": 4.0, "text": "x"}], text="all"), row(text="y")]
    summary, made = run(tmp_path, rows, unit="segment")
    assert [each["text"] for each in made] == ["y"]
    assert summary.as_json()["left_out"] == {"a": {SEGMENT: 1}}
    summary, (made,) = run(tmp_path, rows[:1])
    assert "segments" not in made


def test_a_text_for_a_longer_piece_stays_out_of_jobs(tmp_path):
    rows = [row(0.5, text="97 s of text", duration_published=97.0), row(2.0, text="y", duration_published=2.05)]
    assert rows[0]["defects"] == ["shorter than its labels say: 0.500 s, not 97.000 s"]
    _, made = run(tmp_path, rows)
    assert [each["text"] for each in made] == ["y"]
    assert "duration_published" not in made[0]


def overlaps(segments, **table):
    return [each.get("overlapped") for each in rows_of(job(unit="segment", **table), row(10.0, segments=segments))]


def test_overlap_is_the_share_of_a_segment_during_which_others_speak():
    segments = [
        {"start": 0.0, "end": 4.0, "speaker_id": "a"},
        {"start": 1.0, "end": 2.0, "speaker_id": "b"},
        {"start": 1.5, "end": 3.0, "speaker_id": "c"},
        {"start": 3.0, "end": 3.5, "speaker_id": "a"},  # the same speaker is no overlap
        {"start": 5.0, "end": 6.0, "speaker_id": "d"},
        {"start": 5.999999999, "end": 7.0, "speaker_id": "e"},
    ]
    assert overlaps(segments) == [0.5, 1.0, 1.0, None, 1e-6, 1e-6]


def test_speakers_that_are_not_known_may_be_others():
    assert overlaps([{"start": 0.0, "end": 2.0}, {"start": 1.0, "end": 2.0}]) == [0.5, 1.0]
    assert overlaps([{"start": 0.0, "end": 1.0}, {"start": 1.0, "end": 2.0}]) == [None, None]


@given(st.lists(st.tuples(SPANS, st.sampled_from("abc")), min_size=1, max_size=8))
def test_overlap_is_what_counting_hundredths_of_a_second_gives(turns):
    segments = sorted(({**span, "speaker_id": who} for span, who in turns), key=lambda turn: turn["start"])
    ticks = [set(range(round(turn["start"] * 100), round(turn["end"] * 100))) for turn in segments]
    for number, (own, share) in enumerate(zip(ticks, overlaps(segments), strict=True)):
        others = [ticks[at] for at, turn in enumerate(segments) if turn["speaker_id"] != segments[number]["speaker_id"]]
        covered = len(own & set().union(*others))
        if own:
            assert abs((share or 0.0) - covered / len(own)) < 1e-5
            assert (share is not None) == bool(covered)


def test_a_job_sets_the_limit_of_overlap(tmp_path):
    segments = [
        {"start": 0.0, "end": 10.0, "speaker_id": "a"},
        {"start": 9.0, "end": 10.0, "speaker_id": "b"},
    ]
    summary, (made,) = run(tmp_path, [row(10.0, segments=segments)], unit="segment", max_overlap=0.1)
    assert (made["speaker_id"], made["overlapped"]) == ("a", 0.1)
    assert summary.as_json()["left_out"] == {"a": {"overlapped": 1}}
    without = job(unit="segment", without={"overlapped": True})
    assert [refusal(without, DATASET, each) for each in rows_of(without, row(10.0, segments=segments))] == [
        "overlapped True"
    ] * 2
    wanted = job(unit="segment", where={"overlapped": True})
    assert [refusal(wanted, DATASET, each) for each in rows_of(wanted, row(10.0, segments=segments))] == [""] * 2
