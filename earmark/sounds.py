"""Sound files by their names: the suffixes that the decoders read, and how large a second of each is.

A suffix decides what is looked for in a tree and counted in a plan, never how a file is decoded: that its bytes say.
Nothing heavy is imported here, since every listing asks.
"""

# FFmpeg's demuxers that a recording may need (`ffmpeg -demuxers`), each with the suffixes of its files. A demuxer
# that is not named here does not run: playlists and the like open other files or addresses.
DEMUXERS = {
    "aac": (".aac", ".adts"),
    "ac3": (".ac3",),
    "aiff": (".aif", ".aiff", ".aifc"),
    "amr": (".amr", ".awb"),
    "ape": (".ape",),
    "asf": (".asf", ".wma", ".wmv"),
    "au": (".au", ".snd"),
    "avi": (".avi",),
    "caf": (".caf",),
    "dsf": (".dsf",),
    "dss": (".dss",),  # dictation machines
    "dts": (".dts",),
    "eac3": (".eac3", ".ec3"),
    "flac": (".flac",),
    "flv": (".flv",),
    "matroska": (".mka", ".mkv", ".mk3d"),
    "webm": (".webm", ".weba"),
    "mov": (".mov", ".qt", ".f4v"),
    "mp4": (".mp4", ".m4v"),
    "m4a": (".m4a", ".m4b", ".m4r"),
    "3gp": (".3gp",),
    "3g2": (".3g2",),
    "mj2": (),
    "mp3": (".mp1", ".mp2", ".mp3", ".m2a", ".mpa"),
    "mpc": (".mpc",),
    "mpc8": (),  # shares .mpc
    "mpeg": (".mpeg", ".mpg", ".vob"),
    "mpegts": (".m2ts", ".mts"),
    "nistsphere": (".nist", ".sph", ".wv1", ".wv2"),  # the last two: channels of the Wall Street Journal corpora
    "ogg": (".oga", ".ogg", ".ogv", ".ogx", ".opus", ".spx"),
    "oma": (".aa3", ".oma", ".omg"),
    "qcp": (".qcp",),
    "rm": (".ra", ".rm"),
    "shn": (".shn",),
    "tak": (".tak",),
    "truehd": (".thd",),
    "tta": (".tta",),
    "voc": (),
    "w64": (".w64",),
    "wav": (".bwf", ".rf64", ".wav", ".wave"),
    "wv": (".wv",),
    "xwma": (".xwma",),
}
# What libsndfile reads besides, by its own names of formats; of a format that FFmpeg's demuxers name, nothing more.
SNDFILE = {
    **dict.fromkeys(("AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX"), ()),
    "AVR": (".avr",),
    "IRCAM": (".ircam",),
    "PAF": (".fap", ".paf"),
    "PVF": (".pvf",),
    "SVX": (".8svx", ".svx"),
    "SDS": (".sds",),
    "WVE": (".wve",),
    "HTK": (),
    "MAT4": (),
    "MAT5": (),
    "MPC2K": (),
    "RAW": (),
    "SD2": (),
    "VOC": (),
    "XI": (),
}
# Suffixes that are not looked for, though a decoder reads files of that name, and why. A reader that is given such a
# path has it decoded; where one stands in a tree, it is counted among what was passed over.
LEFT_OUT = {
    "means something else more often": (
        ".ts .voc .mj2 .mat .htk .sf .xi .sd2 .iff .str .v .son .vb .adp .ads .way .dat .art .asc .ans .diz .ice .nfo"
        " .txt .vt .sub .idx .cgi .nc .al .ul .sb .ub .sw .uw .mac .apl .act .bit .c2 .ism .psp .rt .v210 .ty .ty+ .imx"
    ),
    "no header: rate and coding would be a guess": (
        ".raw .pcm .sln .g722 .722 .g723_1 .g728 .g729 .gsm .tco .rco .aptx .aptxhd .sbc .msbc .dfpwm .302 .daud .lc3"
    ),
    "pictures without sound": (
        ".264 .265 .266 .avc .h261 .h264 .h265 .h266 .h26l .hevc .vvc .evc .obu .avs .avs2 .avs3 .apv .vc1 .rcv .viv"
        " .j2k .jxl .gif .mjpeg .mjpg .mpo .avif .heic .heif .yuv .yuv10 .y4m .cif .qcif .rgb .dv .dif .flm .ser .cdxl"
        " .xl .ipu .pdv .bitpacked .cdg .mods .moflex .mvi .yop"
    ),
    "text": ".aqt .jss .mcc .mks .mpl2 .pjs .sami .smi .sbg .scc .stl .sup .vtt .webvtt",
    "locked, by their sellers": ".aa .aax .isma .ismv",
    "of games and consoles": (
        ".acm .adf .adx .aea .afc .aix .apc .ast .bcstm .bfstm .binka .bmv .brstm .cdata .dtk .ss2 .fsb .fwse .genh"
        " .hca .hxvs .idf .ifv .ivr .kux .laf .luodat .lvf .mca .msf .mtaf .musx .mxg .nsp .rsd .rso .sdns .sdr2 .sdx"
        " .sga .svag .svs .usm .vag .vpk .xmd .xmv .xvag .dav"
    ),
    "so rare that no corpus is known to have it": (
        ".ac4 .bonk .dtshd .iamf .mlp .nut .osq .qoa .rka .vqe .vqf .vql .wa .wsd .dff"
    ),
}
SUFFIXES = frozenset(suffix for formats in (DEMUXERS, SNDFILE) for suffixes in formats.values() for suffix in suffixes)

# Suffixes of files that usually carry samples as they are: an archive makes these smaller, and no others.
UNCOMPRESSED = frozenset(
    {".aif", ".aifc", ".aiff", ".au", ".avi", ".bwf", ".caf", ".dsf", ".nist", ".rf64", ".snd", ".sph", ".w64"}
    | {".wav", ".wave"}
    | {suffix for suffixes in SNDFILE.values() for suffix in suffixes}
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
