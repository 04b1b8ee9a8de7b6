import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.corpora._formats.textgrid import Interval, Tier, read_tiers
from earmark.errors import CorpusError

HEADER = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
TIERS = [
    Tier("words", 1.5, (Interval(0.0, 0.5, ""), Interval(0.5, 1.5, "un"))),
    Tier("001-M", 1.0, (Interval(0.25, 1.5, "二"),)),
]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def short_form(tiers):
    lines = ["0", "1.5", "<exists>", str(len(tiers))]
    for tier in tiers:
        lines += ['"IntervalTier"', quoted(tier.name), "0", str(tier.end), str(len(tier.intervals))]
        lines += [f"{item.start}\n{item.end}\n{quoted(item.text)}" for item in tier.intervals]
    return HEADER + "\n".join(lines) + "\n"


def long_form(tiers):
    lines = ["xmin = 0 ", "xmax = 1.5 ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for place, tier in enumerate(tiers, 1):
        lines += [f"    item [{place}]:", '        class = "IntervalTier" ', f"        name = {quoted(tier.name)} "]
        lines += ["        xmin = 0 ", f"        xmax = {tier.end} "]
        lines += [f"        intervals: size = {len(tier.intervals)} "]
        for number, item in enumerate(tier.intervals, 1):
            lines += [f"        intervals [{number}]:", f"            xmin = {item.start} "]
            lines += [f"            xmax = {item.end} ", f"            text = {quoted(item.text)} "]
    return HEADER + "\n".join(lines) + "\n"


texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(['say "hi"', 'xmin = 0 "', "1 2 3", "a\nb"])
intervals = st.builds(
    lambda start, length, text: Interval(start, start + length, text),
    *[st.integers(0, 99).map(lambda n: n / 8)] * 2,
    texts,
)
tiers = st.lists(st.builds(Tier, texts, st.just(1.5), st.lists(intervals, max_size=4).map(tuple)), max_size=3)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tiers=tiers, form=st.sampled_from([short_form, long_form]), encoding=st.sampled_from(["utf-8", "utf-16"]))
def test_both_forms_give_the_same_tiers_in_either_encoding(tiers, form, encoding, tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(form(tiers).encode(encoding))
    assert read_tiers(path) == tiers


@pytest.mark.slow
@pytest.mark.parametrize("form", [short_form, long_form])
def test_a_file_cut_anywhere_is_refused(form, tmp_path):
    path = tmp_path / "a.TextGrid"
    whole = form(TIERS).rstrip()
    for length in range(len(whole)):
        path.write_text(whole[:length], "utf-8")
        with pytest.raises(CorpusError, match=r"a\.TextGrid(:\d+)?: broken label line: (cut short: )?expected"):
            read_tiers(path)


def test_a_tier_of_points_is_passed_over_and_values_after_the_last_tier_are_refused(tmp_path):
    path = tmp_path / "a.TextGrid"
    points = '0 1.5 <exists> 2 "TextTier" "clicks" 0 1.5 1 0.5 "x" "IntervalTier" "words" 0 1.5 0'
    path.write_text(HEADER + points, "utf-8")
    assert read_tiers(path) == [Tier("words", 1.5, ())]
    path.write_text(HEADER + points + "\n0 1", "utf-8")
    with pytest.raises(CorpusError, match=r"a\.TextGrid:5: .* expected the end of the file"):
        read_tiers(path)


def test_a_binary_or_missing_file_is_refused(tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(b"ooBinaryFile\x08TextGrid\xff\x80")
    with pytest.raises(CorpusError, match=r"a\.TextGrid: broken label line: not UTF-8"):
        read_tiers(tmp_path / "a.TextGrid")
    with pytest.raises(CorpusError, match=r"b\.TextGrid: label file cannot be read"):
        read_tiers(tmp_path / "b.TextGrid")
