"""Sound files by their names: the suffixes that the decoders read, and how large a second of each is.

A suffix decides what is looked for in a tree and counted in a plan, never how a file is decoded: that its bytes say.
Nothing heavy is imported here, since every listing asks.
"""

# FFmpeg's demuxers that a recording may need (`ffmpeg -demuxers`), each with the suffixes of its files. A demuxer
# that is not named here does not run: playlists and the like open other files or addresses.
# Left out, though a demuxer reads them, are suffixes that mean something else more often: .ts (Qt's translations,
# TypeScript), .voc (a vocabulary), .mj2 (pictures alone). So are the names that libsndfile's own rarer formats go by,
# such as .mat, .htk, .sf and .xi. A reader that is given such a path still has it decoded.
DEMUXERS = {
    "aac": (".aac",),
    "ac3": (".ac3",),
    "aiff": (".aif", ".aiff", ".aifc"),
    "amr": (".amr", ".awb"),
    "ape": (".ape",),
    "asf": (".asf", ".wma", ".wmv"),
    "au": (".au", ".snd"),
    "avi": (".avi",),
    "caf": (".caf",),
    "dts": (".dts",),
    "eac3": (".eac3", ".ec3"),
    "flac": (".flac",),
    "flv": (".flv",),
    "matroska": (".mka", ".mkv"),
    "webm": (".webm",),
    "mov": (".mov",),
    "mp4": (".mp4",),
    "m4a": (".m4a", ".m4b"),
    "3gp": (".3gp",),
    "3g2": (".3g2",),
    "mj2": (),
    "mp3": (".mp2", ".mp3"),
    "mpc": (".mpc",),
    "mpc8": (),  # shares .mpc
    "mpeg": (".mpeg", ".mpg"),
    "mpegts": (".m2ts", ".mts"),
    "nistsphere": (".nist", ".sph", ".wv1", ".wv2"),  # the last two: channels of the Wall Street Journal corpora
    "ogg": (".oga", ".ogg", ".opus", ".spx"),
    "rm": (".ra", ".rm"),
    "shn": (".shn",),
    "tak": (".tak",),
    "tta": (".tta",),
    "voc": (),
    "w64": (".w64",),
    "wav": (".rf64", ".wav"),
    "wv": (".wv",),
    "xwma": (".xwma",),
}
SUFFIXES = frozenset(suffix for suffixes in DEMUXERS.values() for suffix in suffixes)

# Suffixes of files that usually carry samples as they are: an archive makes these smaller, and no others.
UNCOMPRESSED = frozenset(
    {".aif", ".aifc", ".aiff", ".au", ".avi", ".caf", ".nist", ".rf64", ".snd", ".sph", ".w64", ".wav"}
)

# Bytes a second of typical corpora: enough to cut shards of about the wished length without opening a file. A number
# that changes, or a suffix that gets one, puts the recordings of a new dataset into other shards.
BYTES_PER_S = {".flac": 17_000, ".wav": 48_000, ".opus": 5_000, ".ogg": 8_000, ".mp3": 8_000, ".m4a": 16_000}
OTHER_BYTES_PER_S = 16_000


def suffix_of(path: str) -> str:
    """Return the suffix of a path's last part in lower case, with its dot; "" where it has none."""
    name = path[path.rfind("/") + 1 :]
    return name[name.rfind(".") :].lower() if "." in name else ""


def is_audio(path: str) -> bool:
    """Return whether a file name has the suffix of a sound file, in any letter case.

    The content may be another format: AISHELL-4 has FLAC in folders called wav, TIMIT has SPHERE in .WAV files.
    """
    return suffix_of(path) in SUFFIXES


def is_compressed(path: str) -> bool:
    """Say by its suffix whether a recording is one that an archive makes no smaller."""
    return suffix_of(path) in SUFFIXES - UNCOMPRESSED
