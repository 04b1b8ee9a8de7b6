"""Commands in a label file that only bring a sound file into another form: they name a file, and are never executed.

    flac -c -d -s x.flac |                  sph2pipe -f wav -p -c 1 x.sph |           cat x.wav |
    sox x.wav -t wav - remix 1 |            ffmpeg -i x.mp3 -f wav -ar 16000 - |      and such commands in a row

What a command does to the sound is either what earmark does with every recording (decode it, mix it down, bring it to
16 kHz), or the choice of one channel, or it is refused by its name: a changed speed or volume, a cut, a lower rate.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from earmark.rates import RATE_HZ

NOT_EXECUTED = "a command, which is not executed: write its output as a file"
SILENCED = re.compile(r"\s2>\s*/dev/null")
STDIO = frozenset({"-", "pipe:", "pipe:0", "pipe:1"})
# Formats without a header, of which options say what the bytes are; and those that Kaldi is given, without loss.
RAW = re.compile(r"raw|sw|sl|ul|al|[fsu]\d+(?:le|be)?|mulaw|alaw", re.IGNORECASE)
GIVEN = frozenset({"wav", "wavpcm", "flac", "aiff", "sph", "w64"})
PAN = re.compile(r"pan=(?:mono|1c)\|c0=(?:1\*)?(c(\d+)|FL|FR)")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The file that a command reads, and the one channel, from 0, that it takes of it, if it does."""

    path: str
    channel: int | None = None


class _RefusedError(ValueError):
    """Why a command is more than another form of a file."""


def named_file(command: str) -> NamedFile:
    """Return the file that a command, which ends with |, brings into another form.

    Raises ValueError with the reason where it does more, or nobody knows what it does.
    """
    stages = _stages(command)
    file = ""
    channel: int | None = None
    for number, (program, *arguments) in enumerate(stages):
        read = PROGRAMS.get(program.rpartition("/")[2])
        if read is None:
            raise _RefusedError(NOT_EXECUTED)
        path, taken = read(arguments)
        if (path in STDIO) != (number > 0) or path.startswith("|"):  # sox runs a file name that begins with |
            raise _RefusedError(NOT_EXECUTED)
        if taken is not None and channel is not None:
            raise _RefusedError(NOT_EXECUTED)
        file = path if number == 0 else file
        channel = taken if taken is not None else channel
    return NamedFile(file, channel)


def _stages(command: str) -> list[list[str]]:
    """Return the words of each command of a pipe. Raises ValueError."""
    words = shlex.shlex(SILENCED.sub("", command), posix=True, punctuation_chars="|&;<>()")
    words.whitespace_split = True
    words.commenters = ""
    stages: list[list[str]] = [[]]
    try:
        for word in words:
            if word == "|":
                stages.append([])
            elif set(word) <= set("|&;<>()") or "`" in word or "$(" in word:
                raise _RefusedError(NOT_EXECUTED)
            else:
                stages[-1].append(word)
    except ValueError as error:  # a quote that does not end
        raise _RefusedError(NOT_EXECUTED) from error
    if stages.pop() or not stages or not all(stages):
        raise _RefusedError(NOT_EXECUTED)
    return stages


def _changes(program: str, what: str) -> _RefusedError:
    return _RefusedError(f"{program} {what} changes the sound, and no command is executed: write its output as a file")


def _one(paths: list[str]) -> str:
    if len(paths) != 1:
        raise _RefusedError(NOT_EXECUTED)
    return paths[0]


def _rate(program: str, option: str, value: str) -> None:
    """Refuse a sample rate that takes away what 16 kHz have, or that nobody can read."""
    number = value.lower().removesuffix("k")
    scale = 1 if number == value else 1000
    if not number.replace(".", "", 1).isdecimal() or float(number) * scale < RATE_HZ:
        raise _changes(program, f"{option} {value}")


def _cat(words: list[str]) -> tuple[str, None]:
    return _one([word for word in words if word not in {"-u", "--"}]), None


def _flac(words: list[str]) -> tuple[str, None]:
    plain = {"--decode", "--stdout", "--silent", "--totally-silent", "--force", "--"}
    paths = []
    decodes = False
    for word in words:
        if word.startswith("-") and word not in STDIO and word not in plain and not re.fullmatch(r"-[cdsf]+", word):
            raise _changes("flac", word)
        decodes |= word == "--decode" or bool(re.fullmatch(r"-[csf]*d[cdsf]*", word))
        if word in STDIO or not word.startswith("-"):
            paths.append(word)
    if not decodes:
        raise _RefusedError(NOT_EXECUTED)
    return _one(paths), None


def _sph2pipe(words: list[str]) -> tuple[str, int | None]:
    paths: list[str] = []
    channel = None
    rest = iter(words)
    for word in rest:
        if word in {"-c", "-f"}:
            value = next(rest, "")
            if word == "-c":
                channel = _numbered(value, "sph2pipe", word)
        elif word == "-" or not word.startswith("-"):
            paths.append(word)
        elif word != "-p":  # linear samples
            raise _changes("sph2pipe", word)
    return _one(paths), channel


def _numbered(value: str, program: str, option: str) -> int:
    """Return a channel, from 0, of a number from 1."""
    if not re.fullmatch(r"[1-9]\d{0,2}", value):
        raise _changes(program, f"{option} {value}")
    return int(value) - 1


def _sox(words: list[str]) -> tuple[str, int | None]:
    """Read `sox [options] [options] <file> [options] - [effects]`."""
    files: list[str] = []
    channel = None
    rest = iter(words)
    for word in rest:
        if len(files) == 2 and files[1] != "-":  # several inputs, or a file that it would write
            raise _RefusedError(NOT_EXECUTED)
        if len(files) == 2:  # all that follows the output are effects
            taken = _sox_effect(word, next(rest, ""))
            channel = taken if taken is not None else channel
            continue
        if word in {"-q", "-D", "-R", "-S"} or re.fullmatch(r"-V\d?|--no-dither|--no-show-progress", word):
            continue
        if word in {"-t", "-r", "-b", "-e", "-c", "-L", "-B"}:
            _sox_option(word, "" if word in {"-L", "-B"} else next(rest, ""), output=bool(files))
        elif word.startswith("-") and word != "-":
            raise _changes("sox", word)
        else:
            files.append(word)
    if len(files) != 2 or files[1] != "-":
        raise _RefusedError(NOT_EXECUTED)
    return files[0], channel


def _sox_option(option: str, value: str, *, output: bool) -> None:
    if option == "-r":
        _rate("sox", option, value)
    fine = {
        "-t": value.lower() in GIVEN if output else not RAW.fullmatch(value),
        "-b": value in {"16", "24", "32"},
        "-e": "law" not in value,
        "-c": value == "1",
    }
    if not fine.get(option, True):
        raise _changes("sox", f"{option} {value}")


def _sox_effect(effect: str, argument: str) -> int | None:
    """Return the channel that an effect takes; None for one that mixes all channels."""
    if (effect, argument) in (("remix", "-"), ("channels", "1")):
        return None
    if effect == "remix":
        return _numbered(argument, "sox", effect)
    raise _changes("sox", f"{effect} {argument}".rstrip())


FFMPEG_FLAGS = frozenset({"-y", "-n", "-hide_banner", "-nostdin", "-nostats", "-vn", "-sn", "-bitexact"})
FFMPEG_VALUES = frozenset({"-loglevel", "-v", "-threads", "-map_metadata"})
FFMPEG_CODECS = re.compile(r"pcm_[fs]\d+[bl]e|flac|copy")


def _ffmpeg(words: list[str]) -> tuple[str, int | None]:
    """Read `ffmpeg [options] -i <file> [options] -`."""
    inputs: list[str] = []
    outputs: list[str] = []
    channel = None
    rest = iter(words)
    for word in rest:
        if word in FFMPEG_FLAGS:
            continue
        if word in STDIO or not word.startswith("-"):
            outputs.append(word)
            continue
        value = next(rest, "")
        if word == "-i":
            inputs.append(value)
        elif word == "-ar":
            _rate("ffmpeg", word, value)
        elif word in {"-map_channel", "-af", "-filter:a"}:
            channel = _ffmpeg_channel(word, value)
        elif not _keeps_sound(word, value, output=bool(inputs)):
            raise _changes("ffmpeg", f"{word} {value}".rstrip())
    if len(outputs) != 1 or outputs[0] not in STDIO:
        raise _RefusedError(NOT_EXECUTED)
    return _one(inputs), channel


def _keeps_sound(option: str, value: str, *, output: bool) -> bool:
    """Say whether an option of ffmpeg leaves the sound as it is, but for the mix of all channels."""
    if option == "-f":
        return value in GIVEN if output else not RAW.fullmatch(value)
    if option in {"-acodec", "-c:a", "-codec:a"}:
        return bool(FFMPEG_CODECS.fullmatch(value)) or not output
    return option in FFMPEG_VALUES or (option, value) in {("-ac", "1"), ("-sample_fmt", "s16")}


def _ffmpeg_channel(option: str, value: str) -> int:
    """Return the one channel, from 0, that an option takes."""
    if option == "-map_channel" and (match := re.fullmatch(r"0\.0\.(\d{1,3})", value)):
        return int(match[1])
    if option != "-map_channel" and (match := PAN.fullmatch(value)):
        return int(match[2]) if match[2] else ("FL", "FR").index(match[1])
    raise _changes("ffmpeg", f"{option} {value}")


PROGRAMS: dict[str, Callable[[list[str]], tuple[str, int | None]]] = {
    "cat": _cat,
    "flac": _flac,
    "sph2pipe": _sph2pipe,
    "sox": _sox,
    "ffmpeg": _ffmpeg,
}
