"""AISHELL-4: Mandarin meetings, eight microphones in one file, who says what and when.

    <train_L|train_M|train_S|test>/wav/<session>.flac                  FLAC in spite of the folder's name
    <train_L|train_M|train_S|test>/TextGrid/<session>.TextGrid         a tier a speaker, called <number>-<M or F>
    <train_L|train_M|train_S|test>/TextGrid/<session>.rttm             turns without text
        <session> is [<date>_]<room size L, M or S>_<room, session and configuration>

`segments` come from the TextGrid, or without text from the RTTM where there is none. Speakers are numbered anew in each
session, so `speaker_id` is <session>_<tier>; the tier tells `gender`. Text loses the blanks around it; tags such as
`<$>` stay; an interval without text, or of `<sil>` alone, is silence. Each session begins with a reading of numbers
before the meeting.
Two published TextGrids have ends that contradict each other. Where a tier ends before its last interval, the interval
counts; a turn that ends before it starts is left out. Both are findings, and so is a turn of more than a minute, which
stays. Subset and split come from the folders, since the names of sessions do not tell them.
Source: OpenSLR 111. Holds the ids, one folder's names and one session's turns in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.corpora import BROKEN_LABEL, SPLITS, Finding, ReaderOptions, Recording, check_options
from earmark.corpora._labels import gender, join, once, present
from earmark.corpora._rttm import Segment, in_order, turns
from earmark.corpora._textgrid import Tier, read_tiers
from earmark.corpora._tree import layout_error, listing, stem, walk
from earmark.sounds import is_audio

VERSION = 1

RTTM = ".rttm"
ENDINGS = (RTTM, ".TextGrid")  # the later one counts
SILENCE = frozenset({"", "<sil>"})
ROOMS = frozenset({"L", "M", "S"})
LONGEST_S = 60.0  # of a turn that raises no doubt


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the sessions in the order of their paths; `split` from the folder, `subset` is the folder's name."""
    check_options("aishell4", options)
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, files = listing(root)
    subsets = [(name, name.partition("_")[0]) for name in folders if name.partition("_")[0] in SPLITS]
    if not subsets:
        raise layout_error(root, "a folder train_L, train_M, train_S or test", [*folders, *files])
    for subset, split in subsets:
        paths = [f"{folder}/{name}" for folder, names in walk(root, subset) for name in names]
        told = {stem(path): (path, path) for ending in ENDINGS for path in paths if path.endswith(ending)}
        for item in join(filter(is_audio, paths), told):
            if isinstance(item, Finding):
                yield item
                continue
            session, path, where = item
            segments, findings = _segments(root, where, session)
            yield from findings
            room = session.split("_")[-2] if "_" in session else ""
            labels: dict[str, Any] = {"session_id": session, "language": language, "subset": subset}
            labels |= {"room_size": room if room in ROOMS else None, "segments": segments}
            yield Recording(session, path, split, present(labels))


def _segments(root: Path, where: str, session: str) -> tuple[list[Segment], list[Finding]]:
    """Return [{"start", "end", "speaker_id", "text"?}, ...] of a session, sorted, and what is odd in its file."""
    findings: list[Finding] = []
    segments: list[Segment] = []
    if where.endswith(RTTM):
        for _, _, turn in turns(root / where):
            segments.append(turn | _speaker(session, turn["speaker_id"]))
    else:
        for tier in read_tiers(root / where, backward=True):
            findings += _overrun(where, session, tier)
            for item in tier.intervals:
                text = item.text.strip()
                if text in SILENCE:
                    continue
                if item.end < item.start:
                    detail = f"{session}: {tier.name} from {item.start} s to {item.end} s; the turn is left out"
                    findings.append(Finding(BROKEN_LABEL, where, detail))
                    continue
                span: Segment = {"start": item.start, "end": item.end}
                segments.append(span | _speaker(session, tier.name) | {"text": text})
    for segment in segments:
        length_s = segment["end"] - segment["start"]
        if length_s > LONGEST_S:
            detail = (
                f"{session}: {segment['speaker_id']} for {length_s:.0f} s from {segment['start']} s; the turn stays"
            )
            findings.append(Finding(BROKEN_LABEL, where, detail))
    return in_order(segments), findings


def _speaker(session: str, tier: str) -> Segment:
    """Return what a tier's name, <number>-<M or F>, says of who speaks."""
    sex = tier.rpartition("-")[2]
    return {"speaker_id": f"{session}_{tier}"} | ({"gender": gender(sex)} if sex in ("F", "M") else {})


def _overrun(where: str, session: str, tier: Tier) -> Iterator[Finding]:
    last = max((item.end for item in tier.intervals), default=0.0)
    if last > tier.end:
        detail = f"{session}: tier {tier.name} ends at {tier.end} s, its last interval at {last} s, which counts"
        yield Finding(BROKEN_LABEL, where, detail)
