"""Labels and their sound, from Kaldi's tables to a job's rows."""

import numpy as np
import pytest
import soundfile
from support.collection import RATE_HZ, Collection, done, speech

TABLES = {
    "wav.scp": "call-A call.wav\ncall-B call.wav\ntalk flac -c -d -s talk.flac |\n",
    "segments": "u1 call-A 0 0.5\nu2 call-B 0.2 0.7\nu3 talk 0 0.5\nu4 talk 0.5 99\nu5 talk -0.02 0.3\n",
    "text": "u1 HELLO\nu2 WORLD\nu3 ONE\nu4 TWO\nu5 THREE\n",
    "utt2spk": "u3 amy\nu5 bob\n",
    "reco2file_and_channel": "call-A call A\ncall-B call B\n",
}


def write_calls(folder):
    folder.mkdir(parents=True)
    for name, text in TABLES.items():
        (folder / name).write_text(text, "utf-8")
    sides = np.stack([speech(1.0, 1), speech(1.0, 2)], axis=1)
    soundfile.write(folder / "call.wav", sides, RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "talk.flac", speech(1.0, 3), RATE_HZ, subtype="PCM_16")
    return sides


@pytest.mark.parametrize("form", ["flac", "none"])
def test_each_sides_text_stands_on_its_sound_and_none_beyond_its_end(form, tmp_path):
    made = Collection(tmp_path, {"calls": {"corpus": "kaldi", "encoders": []}}, standard={"format": form})
    made.jobs["asr"] = {"datasets": ["calls"], "labels": ["text"], "unit": "segment", "unsplit": "train"}
    made.write_catalog()
    sides = write_calls(tmp_path / "data" / "calls")
    ran = made.doit("manifest:calls", "job:asr")
    assert "1 x segment beyond the end (such as in talk)" in ran.stdout
    assert "left out: 1 segment beyond the end (calls)" in ran.stdout
    rows = {row["id"]: row for row in made.rows("manifests/calls.jsonl")}
    for number, name in enumerate(("call-A", "call-B")):
        if form != "none":
            heard, _ = soundfile.read(tmp_path / rows[name]["audio_path"], dtype="int16")
            assert np.array_equal(heard, sides[:, number])
        else:
            assert rows[name]["audio_path"] == f"data/calls/call.wav/{number}.channel"
    assert rows["call-A"]["audio_hash"] != rows["call-B"]["audio_hash"]
    texts = {row["text"]: row for row in made.rows("manifests/jobs/asr/train.jsonl")}
    assert texts.keys() == {"HELLO", "WORLD", "ONE", "THREE"}
    assert texts["ONE"]["overlapped"] == 0.6
    assert texts["THREE"]["start"] == 0.0
    assert done(made.doit("manifest:calls", "job:asr")) == []
    assert "0 damaged" in made.doit("verify").stdout
