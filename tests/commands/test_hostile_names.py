"""No name moves the cursor, hides text or forges a line, whatever it is a name of and whichever command shows it."""

import csv
import io
import json
import os

import pytest
from support.archive_samples import pack
from support.collection import Collection, speech
from support.models import write_model
from support.one_process import doit_all

from earmark.printable import is_unprintable

FORGED = "!! features:y: forged"
EVIL = f"\x1b[2J\x1b]0;title\x07\n{FORGED}\r\x85\u202e\u2066\u2028\x7f\x9b31m"  # 31 bytes or so of every kind
NOT_UTF8 = os.fsdecode(b"\xff\x9b2J\n" + FORGED.encode())
COMMANDS = [
    ["list"],
    ["list", "--status", "--all"],
    ["list", "--all"],
    [],
    *(
        ["why", f"{stage}:{name}"]
        for stage in ("scan", "features")
        for name in ("files", "bytes", "members", "tree", "away")
    ),
    ["plan"],
    ["plan", "--json", "--all"],
    ["plan", "--all", "files", "members"],
    ["audit", "--deep"],
    ["audit", "--json"],
    ["verify"],
    ["cleanup:members"],
    ["cleanup:members", "--yes"],
    ["info", "scan:files"],
    ["help", "scan:files"],
    ["forget", "scan:files"],
    ["ignore", "scan:tree"],
    ["clean", "-n", "scan:files"],
    ["new-corpus", f"name={EVIL}"],
    [f"features:{EVIL}"],
    [EVIL],
    ["why", EVIL],
    ["list", EVIL],
    ["audit", EVIL],
    ["plan", EVIL],
    ["verify", EVIL],
    [f"--{EVIL}"],
    ["help", EVIL],
    ["info", EVIL],
]


def wav(seed: int = 0) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, speech(0.2, seed), 16000, format="WAV")
    return file.getvalue()


def raw(output: bytes) -> list[str]:
    """Return what of an output a terminal would act upon, and the lines that no command of ours prints."""
    text = output.decode("utf-8", "surrogateescape")
    bad = [repr(character) for character in text if is_unprintable(character) and character != "\n"]
    return bad + [line for line in text.splitlines() if line.strip().startswith(FORGED)]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Collection:
    """Hostile names of files, folders, members, labels and what nobody claims."""
    made = Collection(tmp_path_factory.mktemp("hostile") / "collection")
    data = made.home / "data"
    write_model(made.home / "model", n_state=32, n_head=2, n_layer=1)
    for name in ("files", "bytes", "members", "tree"):
        made.datasets[name] = {"corpus": "audiofolder", "max_bad": 0.9, "max_missing": 0.9}
        (data / name).mkdir(parents=True)
    named = EVIL.replace("\x7f", "")  # which TOML does not allow
    made.datasets["away"] = {"corpus": "audiofolder", "folder": named, "archives": [{"file": f"{named}.tar"}]}
    made.datasets["members"]["archives"] = [{"file": "a.tar"}]
    made.jobs["all"] = {"datasets": ["files"], "labels": ["text"], "unsplit": "train", "keep_defects": True}
    made.write_catalog()
    (data / "files" / EVIL).mkdir()
    (data / "files" / EVIL / f"{EVIL}.wav").write_bytes(wav(1))
    (data / "files" / "good.wav").write_bytes(wav(2))
    (data / "files" / f"empty {EVIL}.wav").write_bytes(b"")
    (data / "files" / f"{EVIL}.txt").write_bytes(b"")
    rows = io.StringIO()
    table = csv.writer(rows)
    table.writerow(["file_name", "text", "speaker_id", EVIL.replace("\r", "")])
    table.writerow(["good.wav", EVIL, EVIL, EVIL])
    table.writerow([f"gone {EVIL}.wav", EVIL, EVIL, EVIL])
    (data / "files" / "metadata.csv").write_text(rows.getvalue(), "utf-8", newline="")
    (data / "bytes" / f"{NOT_UTF8}.wav").write_bytes(wav(3))
    (data / "members" / "a.tar").write_bytes(pack({f"{EVIL}.wav": wav(4), "good.wav": wav(5)}))
    (data / "tree" / "good.wav").write_bytes(wav(6))
    (data / "tree" / f".{NOT_UTF8}").write_bytes(b"")
    (data / "tree" / f"link {EVIL}.wav").symlink_to(f"nowhere {EVIL}")
    (data / f"unclaimed {EVIL}").mkdir()
    (data / f"unclaimed {EVIL}" / f"{NOT_UTF8}.tar").write_bytes(b"")
    return made


def test_no_command_lets_a_hostile_name_through(hostile):
    stages = [["features"], ["job:all"], ["manifest:files"], ["list", "--status"]]
    commands = [*stages, *COMMANDS]
    commands += [
        ["run", "--db-file", f"{hostile.home}/{EVIL}.db", "scan:files"],
        ["new-catalog", f"at={hostile.home}/{EVIL}"],
    ]
    for command, (_code, output) in zip(commands, doit_all(hostile, *commands), strict=True):
        assert not raw(output), (command, output)
        assert b"Traceback" not in output, (command, output.decode())
        if command[-1:] == ["--json"] or command[:2] == ["plan", "--json"]:
            assert json.loads(output)
