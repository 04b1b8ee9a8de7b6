"""Kaldi's commands, which name a file or are refused; and the sounds that several tables share."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fixtures import write_tone
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions, Recording
from earmark.corpora._commands import NamedFile, named_file


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("flac -c -d -s x.flac |", NamedFile("x.flac")),
        ("flac -cds '/a b/x.flac'|", NamedFile("/a b/x.flac")),
        ("/usr/bin/flac --decode --stdout x.flac 2>/dev/null |", NamedFile("x.flac")),
        ("sph2pipe -f wav -p -c 1 x.wv1 |", NamedFile("x.wv1", 0)),
        ("$KALDI_ROOT/tools/sph2pipe_v2.5/sph2pipe -f wav x.sph |", NamedFile("x.sph")),
        ("sph2pipe -f wav -p -c 2 x.sph | sox -t wav - -r 16000 -b 16 -t wav - |", NamedFile("x.sph", 1)),
        ("sox x.wav -t wav - |", NamedFile("x.wav")),
        ("sox -t mp3 x -c 1 -b 16 -r 16k -t wav - |", NamedFile("x")),
        ("sox x.flac -t wav - remix 2 |", NamedFile("x.flac", 1)),
        ("sox x.flac -t wav - remix - |", NamedFile("x.flac")),
        ("ffmpeg -i x.mp3 -f wav -ar 16000 - |", NamedFile("x.mp3")),
        ("ffmpeg -v 8 -y -i x.m4a -ac 1 -acodec pcm_s16le -f wav pipe:1 |", NamedFile("x.m4a")),
        ("ffmpeg -i x.wav -af 'pan=mono|c0=FR' -f wav - |", NamedFile("x.wav", 1)),
        ("ffmpeg -i x.wav -map_channel 0.0.1 -f wav - |", NamedFile("x.wav", 1)),
        ("cat x.wav |", NamedFile("x.wav")),
        ("cat x.flac | flac -d -c -s - |", NamedFile("x.flac")),
    ],
)
def test_a_command_that_only_changes_the_form_names_its_file(command, expected):
    assert named_file(command) == expected


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sox x.wav -t wav - speed 0.9 |", "sox speed 0.9 changes the sound"),
        ("sox -v 0.5 x.wav -t wav - |", "sox -v changes"),
        ("sox x.wav -t wav - remix 1 vol 2 |", "sox vol 2 changes"),
        ("sox x.wav -t wav - rate 16k |", "sox rate 16k changes"),
        ("sox x.wav -t wav - remix 1,2 |", "sox remix 1,2 changes"),
        ("sox x.wav -r 8k -t wav - |", "sox -r 8k changes"),
        ("sox -t raw -r 8k -e signed x.pcm -t wav - |", "sox -t raw changes"),
        ("sox x.wav -t mp3 - |", "sox -t mp3 changes"),
        ("sox a.wav b.wav -t wav - |", "a command, which is not executed"),
        ("sox x.wav x2.wav |", "a command, which is not executed"),
        ("flac -c -d --skip=3 x.flac |", "flac --skip=3 changes"),
        ("flac -c x.wav |", "not executed"),
        ("sph2pipe -f wav -p -t 1:2 x.sph |", "sph2pipe -t changes"),
        ("sph2pipe -f wav -u x.sph |", "sph2pipe -u changes"),
        ("sph2pipe -f wav -c 0 x.sph |", "sph2pipe -c 0 changes"),
        ("sph2pipe -f wav -c 1 x.sph | sox -t wav - -t wav - remix 1 |", "not executed"),
        ("ffmpeg -ss 3 -i x.mp3 -f wav - |", "ffmpeg -ss 3 changes"),
        ("ffmpeg -i x.mp3 -af volume=2 -f wav - |", "ffmpeg -af volume=2 changes"),
        ("ffmpeg -i x.mp3 -ar 8000 -f wav - |", "ffmpeg -ar 8000 changes"),
        ("ffmpeg -i x.wav -c:a libmp3lame -f mp3 - |", "ffmpeg -c:a libmp3lame changes"),
        ("ffmpeg -i x.mp3 -i y.mp3 -f wav - |", "not executed"),
        ("gunzip -c x.wav.gz |", "not executed"),
        ("touch a && sox x.wav -t wav - |", "not executed"),
        ("cat x.wav; touch a |", "not executed"),
        ("cat `touch a` |", "not executed"),
        ("cat $(touch a) |", "not executed"),
        ("cat a.wav b.wav |", "not executed"),
        ("sox '|touch a' -t wav - |", "not executed"),
        ("cat 'x.wav |", "not executed"),
        ("| cat x.wav", "not executed"),
        ("-", "not executed"),
        ("|", "not executed"),
        ("", "not executed"),
    ],
)
def test_a_command_that_does_more_is_refused_by_its_name(command, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        named_file(command)


PROGRAMS = ["sox", "flac", "sph2pipe", "ffmpeg", "cat"]
OPTIONS = ["-t", "wav", "-", "-c", "1", "-d", "-i", "x.wav", "-f", "remix", "-af", "pan="]
WORDS = st.sampled_from([*PROGRAMS, *OPTIONS, "|", ";", "&", ">", "'", '"', "\\"])


@given(st.lists(WORDS, max_size=9))
def test_any_command_names_a_file_or_is_refused(words):
    try:
        named = named_file(" ".join(words))
    except ValueError as error:
        assert "executed" in str(error)
    else:
        assert named.path in words


def read(root):
    return list(corpora.read("kaldi", root, ReaderOptions()))


SCP = "c-A call.wav\nc-B call.wav\n"


@pytest.mark.parametrize(
    ("files", "channels"),
    [
        ({"text": "c-A HELLO\nc-B WORLD\n"}, 2),  # nothing says which side is whose
        ({"text": "c-A HELLO\n"}, 2),
        ({"wav.scp": "c-A call.wav\n", "text": "c-A HELLO\n"}, 2),
        ({"text": "c-A HELLO\nc-B WORLD\n", "reco2file_and_channel": "c-A call A\nc-B call B\n"}, 1),
        ({"text": "c-A HELLO\nc-B WORLD\n", "reco2file_and_channel": "c-A call A\nc-B call A\n"}, 2),
        ({"segments": "u c-A 0 0.05\nv c-B 0.06 0.1\n", "text": "u HELLO\nv WORLD\n"}, 2),
        ({"segments": "u c-A 0 0.05 0\nv c-B 0.02 0.1 0\n", "text": "u HELLO\nv WORLD\n"}, 2),
    ],
)
def test_the_text_of_one_side_never_stands_on_both(files, channels, tmp_path):
    write(tmp_path, {"wav.scp": SCP, **files})
    write_tone(tmp_path / "call.wav", 0.1, 8000, channels)
    items = read(tmp_path)
    assert not [item for item in items if isinstance(item, Recording)]
    assert {item.kind for item in items if isinstance(item, Finding)} == {corpora.CONTRADICTION}


@pytest.mark.parametrize("sides", [("A", "B"), ("1", "2"), ("0", "1"), ("left", "right")])
def test_sides_are_told_apart_however_they_are_named(sides, tmp_path):
    write(tmp_path, {"wav.scp": SCP, "text": "c-A HELLO\nc-B WORLD\n"})
    write(tmp_path, {"reco2file_and_channel": f"c-A call {sides[0]}\nc-B call {sides[1]}\n"})
    write_tone(tmp_path / "call.wav", 0.1, 8000, 2)
    found = [(item.path, item.labels["text"]) for item in read(tmp_path)]
    assert found == [("call.wav/0.channel", "HELLO"), ("call.wav/1.channel", "WORLD")]


def test_a_side_that_no_table_names_beside_one_that_it_names_is_told(tmp_path):
    write(tmp_path, {"wav.scp": SCP, "text": "c-A HELLO\nc-B WORLD\n", "reco2file_and_channel": "c-A call A\n"})
    write_tone(tmp_path / "call.wav", 0.1, 8000, 2)
    told, kept = read(tmp_path)
    assert "c-B: call.wav has several channels" in told.detail
    assert (kept.path, kept.labels["text"]) == ("call.wav/0.channel", "HELLO")


def test_speakers_that_no_table_names_are_not_invented(tmp_path):
    write(tmp_path, {"wav.scp": "a a.wav\n", "segments": "u a 0 1\nv a 1 2\n", "text": "u ONE\nv TWO\n", "a.wav": ""})
    (item,) = read(tmp_path)
    assert item.labels == {
        "segments": [{"start": 0.0, "end": 1.0, "text": "ONE"}, {"start": 1.0, "end": 2.0, "text": "TWO"}]
    }
