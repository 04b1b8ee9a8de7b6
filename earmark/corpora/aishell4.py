"""AISHELL-4: Mandarin meetings, eight microphones in one file, who says what and when.

    <train_L|train_M|train_S|test>/wav/<session>.flac                  FLAC in spite of the folder's name
    <train_L|train_M|train_S|test>/TextGrid/<session>.TextGrid         one tier for each speaker: <number>-<M or F>
    <train_L|train_M|train_S|test>/TextGrid/<session>.rttm             turns without text
        <session> is [<date>_]<room size L, M or S>_<room, session and configuration>

`segments` come from the TextGrid, or without text from the RTTM if there is no TextGrid. Speakers are numbered anew in
each session (the authors confirm it), so `speaker_id` is <session>_<tier>; `gender` is the tier's last letter. Text is
stripped of blanks; tags such as `<$>` stay; an interval without text, or with `<sil>` alone, is silence. Each session
begins with a reading of numbers before the meeting.
Two published TextGrids contradict themselves (20200622_M_R002S07C01 and 20200710_M_R002S06C01): where a tier ends
before its last interval, the interval counts; a turn that ends before it starts is left out. Both are findings, and so
is a turn of more than a minute, which stays. Subset and split come from the folders, not from the names of sessions:
train_M seems to contain sessions named _S_.
Source: OpenSLR 111; felixfuyihui/AISHELL-4, README and issue 7.
Keeps the ids, one folder's names and one session's turns in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import DOUBTFUL_LABEL, Finding, ReaderOptions, Recording
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.rttm import Turn, in_order, turns
from earmark.corpora._formats.textgrid import Tier, read_tiers
from earmark.corpora._labels import gender, join, once, present
from earmark.corpora._tree import layout_error, listing, stem, walk
from earmark.rows import SPLITS, DraftLabels, Labels
from earmark.sounds import is_audio

VERSION = 1

RTTM = ".rttm"
ENDINGS = (RTTM, ".TextGrid")  # where a session has both, the last one counts
SILENCE = frozenset({"", "<sil>"})
ROOMS = frozenset({"L", "M", "S"})
LONGEST_S = 60.0  # of a turn that raises no doubt; one of 1,021 s was published


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the sessions in the order of their paths; `split` from the folder, `subset` is the folder's name."""
    return once(_recordings(root, options.language))


def _recordings(root: Path, language: str | None) -> Iterator[Recording | Finding]:
    folders, _ = listing(root)
    subsets = [(name, name.partition("_")[0]) for name in folders if name.partition("_")[0] in SPLITS]
    if not subsets:
        raise layout_error(root, "a folder train_L, train_M, train_S or test")
    for subset, split in subsets:
        paths = [f"{folder}/{name}" for folder, names in walk(root, subset) for name in names]
        label_files = {stem(path): (path, path) for ending in ENDINGS for path in paths if path.endswith(ending)}
        for item in join(filter(is_audio, paths), label_files):
            if isinstance(item, Finding):
                yield item
                continue
            session, path, where = item
            with one_row(root / where):  # a session with half of its turns would be wrong
                segments, findings = _segments(root, where, session)
                yield from findings
                # A date comes first in train only: 20200706_L_R001S01C01, but L_R003S01C02.
                room = session.split("_")[-2] if "_" in session else ""
                labels: DraftLabels = {"session_id": session, "language": language, "subset": subset}
                labels |= {"room_size": room if room in ROOMS else None, "segments": segments}
                yield Recording(session, path, split, present(labels))


def _segments(root: Path, where: str, session: str) -> tuple[list[Labels], list[Finding]]:
    """Return [{"start", "end", "speaker_id", "gender"?, "text"?}, ...] of a session, sorted, and its findings."""
    segments: list[tuple[Turn, Labels]] = []
    findings: list[Finding] = []
    if where.endswith(RTTM):
        for _, _, turn in turns(root / where):
            segments.append(_segment(session, turn))
    else:
        for tier in read_tiers(root / where, backward=True):  # of the two broken files only single turns are lost
            findings += _overrun(where, session, tier)
            for item in tier.intervals:
                text = item.text.strip()
                if text not in SILENCE and item.end < item.start:
                    detail = f"{session}: {tier.name} from {item.start} s to {item.end} s; the turn is left out"
                    findings.append(Finding(DOUBTFUL_LABEL, where, detail))
                elif text not in SILENCE:
                    turn, labels = _segment(session, Turn(item.start, item.end, tier.name))
                    segments.append((turn, labels | {"text": text}))
    for turn, _ in segments:
        length_s = turn.end - turn.start
        if length_s > LONGEST_S:
            detail = f"{session}: {turn.speaker_id} for {length_s:.0f} s from {turn.start} s; the turn stays"
            findings.append(Finding(DOUBTFUL_LABEL, where, detail))
    return in_order(segments), findings


def _segment(session: str, turn: Turn) -> tuple[Turn, Labels]:
    """Return a turn of a tier, <number>-<M or F>, as one of a speaker, and the labels of its segment."""
    turn, sex = turn._replace(speaker_id=f"{session}_{turn.speaker_id}"), turn.speaker_id.rpartition("-")[2]
    labels = turn.times | {"speaker_id": turn.speaker_id}
    return turn, labels | ({"gender": gender(sex)} if sex in ("F", "M") else {})


def _overrun(where: str, session: str, tier: Tier) -> Iterator[Finding]:
    last = max((item.end for item in tier.intervals), default=0.0)
    if last > tier.end:
        detail = f"{session}: tier {tier.name} ends at {tier.end} s, its last interval at {last} s, which counts"
        yield Finding(DOUBTFUL_LABEL, where, detail)
