"""One channel of a file, a stream or a row as a recording of its own: `call.wav/1.channel`."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collection import RATE_HZ, speech
from support.fixtures import unpack

from earmark.audio.batch import standard_name
from earmark.audio.canonical import canonical_blocks, standardize
from earmark.audio.policy import Policy
from earmark.disk.files import Scratch
from earmark.disk.inside import Place, channel_of, file_of, locate, without_channel
from earmark.disk.shards import estimated_hours
from earmark.errors import BadAudioError
from earmark.estimate.probes import flac_rate, probe

FORMATS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III", "opus": "OPUS"}


def heard(path, policy=None):
    return np.concatenate(list(canonical_blocks(path, policy or Policy())))


def sides():
    return np.stack([0.3 * np.sin(np.arange(8000) / 9), 0.3 * np.sin(np.arange(8000) / 40)], axis=1)


@pytest.mark.parametrize("form", FORMATS)
def test_each_channel_is_heard_alone_whatever_decodes_the_file(form, tmp_path):
    path = tmp_path / f"call.{form}"
    container = "OGG" if form == "opus" else form.upper()
    soundfile.write(path, sides(), 48_000 if form == "opus" else RATE_HZ, format=container, subtype=FORMATS[form])
    for number in (0, 1):
        alone = heard(path / f"{number}.channel")
        assert np.array_equal(alone, heard(path, Policy(channel=number)))
        assert np.array_equal(alone, heard(path / f"{number}.channel", Policy(channel=1 - number)))  # not the catalog's
    with pytest.raises(BadAudioError, match="expected a channel from 0 to 1, got 2 in the labels") as caught:
        heard(path / "2.channel")
    assert caught.value.kind == "no such channel"


def test_a_channel_of_a_stream_and_of_a_row_is_heard_alone(tmp_path):
    import pyarrow
    import pyarrow.parquet

    unpack("-- song.stem.mp4 --\ntone 0.2 s, 44100 Hz, 2 ch, 2 streams\n", tmp_path)
    stream = tmp_path / "song.stem.mp4" / "1.stream"
    file = io.BytesIO()
    soundfile.write(file, sides(), RATE_HZ, format="FLAC")
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = pyarrow.array([{"bytes": file.getvalue(), "path": "a.flac"}], kind)
    pyarrow.parquet.write_table(pyarrow.table({"audio": cells}), tmp_path / "t.parquet")
    row = tmp_path / "t.parquet" / "0.row"
    for place in (stream, row):
        assert np.array_equal(heard(place / "1.channel"), heard(place, Policy(channel=1)))
        assert not np.array_equal(heard(place / "1.channel"), heard(place / "0.channel"))
    assert locate(row / "1.channel") == Place(tmp_path / "t.parquet", "row", 0, 1)
    assert file_of("x/t.parquet/0.row/1.channel") == "x/t.parquet"


def test_only_a_recording_in_a_folders_place_has_channels(tmp_path):
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "folder" / "3.channel", speech(0.1, 1), RATE_HZ, format="WAV")
    assert locate(tmp_path / "folder" / "3.channel") == Place(tmp_path / "folder" / "3.channel")
    assert file_of("3.channel") == without_channel("3.channel") == "3.channel"


def test_a_plan_sees_each_channel_as_long_as_its_file(tmp_path):
    soundfile.write(tmp_path / "call.wav", np.repeat(sides(), 10, axis=0), RATE_HZ)
    whole, side = tmp_path / "call.wav", tmp_path / "call.wav" / "1.channel"
    assert probe(side) == probe(whole)
    assert flac_rate(side, "mean", "HQ") == flac_rate(whole, 1, "HQ")
    assert estimated_hours("call.wav/1.channel", 480_000) == estimated_hours("call.wav", 480_000)


PARTS = st.sampled_from(["", "/0.channel", "/1.channel", "/0.stream", "/0.stream/1.channel"])
NAMES = st.sampled_from(["a", "a.wav", "a.flac", "a.flac.1.channel", "a.flac.1.channel.", "a..flac", "a.flac.0.stream"])


@given(st.sets(st.builds(lambda name, part: f"x/{name}{part}", NAMES, PARTS), min_size=2), st.sampled_from(["flac"]))
@settings(deadline=None, max_examples=100)
def test_two_recordings_never_meet_in_one_standard_file_nor_a_file_and_a_folder(paths, form):
    names = {standard_name(path, form) for path in paths}
    assert len(names) == len(paths)
    folders = {f"{name}/" for name in names}
    channels = {standard_name(path, form) for path in paths if "channel" in path.rpartition("/")[2]}
    assert not any(name.startswith(tuple(folders)) for name in channels if "/0.stream" not in name)


def test_both_sides_of_a_file_get_a_standard_file_beside_that_of_the_whole(tmp_path):
    soundfile.write(tmp_path / "a.flac", sides(), RATE_HZ)
    scratch = Scratch(tmp_path / "tmp")
    for path in ("a.flac", "a.flac/0.channel", "a.flac/1.channel"):
        standardize(tmp_path / path, tmp_path / "standard" / standard_name(path, "flac"), Policy(), scratch)
    names = sorted(path.name for path in (tmp_path / "standard").iterdir())
    assert names == ["a.flac", "a.flac.0.channel..flac", "a.flac.1.channel..flac"]
    assert channel_of("a.flac", 1) == "a.flac/1.channel"
