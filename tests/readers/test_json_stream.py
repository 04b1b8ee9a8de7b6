import json

import pytest
from support.readers import write

from earmark.corpora._formats import json_stream


@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_read_through_a_window_has_the_same_members_and_their_lines(indent, tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "WINDOW", 128)
    monkeypatch.setattr(json_stream, "LONGEST", 64)
    whole = {f"note {number}": {"text": "é\n" * (number % 5), "pitch": number} for number in range(200)}
    text = json.dumps(whole, indent=indent, ensure_ascii=False)
    write(tmp_path, {"a.json": text})
    found = list(json_stream.json_members(tmp_path / "a.json"))
    assert {name: value for _, name, value in found} == whole
    lines = text.split("\n")
    assert all(f'"{name}"' in lines[number - 1] for number, name, _ in found)
