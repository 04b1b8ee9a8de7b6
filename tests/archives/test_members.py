"""Members files: a line says what it always said, and is read back as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.archives.members import ListedMember, parse_member

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
FILES = st.builds(ListedMember, PATHS, st.integers(0, 1 << 62), st.text("0123456789abcdef", min_size=32, max_size=32))
LINKS = st.builds(ListedMember, PATHS, link=PATHS)
FOLDERS = st.builds(ListedMember, PATHS)


@given(FILES | LINKS | FOLDERS)
def test_a_line_is_read_back_as_it_was_written(member):
    assert parse_member(member.line()) == member
    assert member.line().count(b"\n") == 1
    assert member.is_folder == (member == ListedMember(member.path))


@pytest.mark.parametrize(
    ("member", "line"),
    [
        (
            ListedMember("a/é.wav", 0, "0" * 32),
            '{"path":"a/é.wav","size":0,"xxh3":"00000000000000000000000000000000"}\n',
        ),
        (ListedMember("l", link="a/b"), '{"path":"l","link":"a/b"}\n'),
        (ListedMember("a"), '{"path":"a","dir":true}\n'),
    ],
)
def test_the_bytes_of_a_line_stay_what_receipts_have_hashed(member, line):
    assert member.line() == line.encode()


@pytest.mark.parametrize("line", [b"", b'{"path"', b"[]", b'{"size":1}', b"7"])
def test_a_damaged_line_is_an_error(line):
    with pytest.raises(ValueError):
        parse_member(line)
