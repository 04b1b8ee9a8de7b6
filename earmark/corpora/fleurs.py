"""FLEURS: sentences of FLoRes read aloud in 102 languages, all of them below one root.

    [data/]<code>/{train,dev,test}.tsv    no header, tabs, 7 fields: sentence id, file name, text as written, text
                                          in lower case without punctuation, characters, samples at 16 kHz, gender
    [data/]<code>/audio/<split>/<file name>, [data/]<code>/<split>/<file name>, or <split>/<file name> below the root
    ... or Hugging Face tables (see _huggingface), with the same columns

An id is `<code>_<stem of the file>`, where a code of older copies is replaced by its later name. The sentence id cannot
serve: it is that of a text, which several speakers read in every language. `text` is the lower-case text,
`text_original` the text as written, `language` the code as a BCP 47 tag. Speakers are not published. More than 170
recordings of es_419, and some Arabic ones, are noise only; the two of them that discussion 16 names have `defects`.
Option `edition`: whose folders of a cache are read, "fleurs" (default) or "fleurs-r", the restored audio.
Source: google/fleurs, card, script and discussion 16. Keeps one language's file names and all ids in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from earmark.corpora import (
    AUDIO_WITHOUT_LABEL,
    BROKEN_LABEL,
    DUPLICATE,
    LABEL_WITHOUT_AUDIO,
    REPEATED_ID,
    Finding,
    ReaderOptions,
    Recording,
)
from earmark.corpora._formats.broken import one_row
from earmark.corpora._formats.lines import bad_line
from earmark.corpora._formats.tab_files import tab_fields
from earmark.corpora._huggingface import Copy, TableRow, look
from earmark.corpora._labels import once, present
from earmark.corpora._options import choice
from earmark.corpora._tree import is_file, is_folder, layout_error, listing, stem
from earmark.errors import CorpusError
from earmark.rows import SPLITS, DraftLabels
from earmark.sounds import is_audio

VERSION = 1
OPTIONS = ("edition",)

CODES_102 = """
    af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz cy_gb da_dk
    de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in hr_hr hu_hu
    hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd
    lo_la lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr
    om_et or_in pa_in pl_pl ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in
    tg_tj th_th tr_tr uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
"""
CODES = frozenset(CODES_102.split())
# Of the tarballs that came before the hub's repository.
OLD_CODES = {"ku_arab_iq": "ckb_iq", "oci_fr": "oc_fr", "rup_bg": "bg_bg", "sd_arab_in": "sd_in"}
ALL = "all"  # the config that contains the others' rows once more
EDITIONS = ("fleurs", "fleurs-r")
COLUMNS = ("id", "path", "transcription", "raw_transcription", "gender", "lang_id")
CLASS_GENDERS = {0: "male", 1: "female", 2: "other"}  # where a copy lost the names of its class labels
GENDERS = {"MALE": "male", "FEMALE": "female", "OTHER": "other"}
FIELDS = 7  # of a row
NOISE = frozenset({"es_419_2929017630020536228", "es_419_4887807060315182124"})


def read(root: Path, options: ReaderOptions) -> Iterator[Recording | Finding]:
    """Yield the recordings by code and split, in the order of the tables."""
    return once(_recordings(root, choice(options, "edition", EDITIONS)), DUPLICATE)


def language_tag(code: str) -> str:
    """Return the BCP 47 tag of a code of FLEURS, in the letter case of RFC 5646: cmn-Hans-CN for cmn_hans_cn."""
    language, *rest = OLD_CODES.get(code, code).split("_")
    return "-".join([language, *(part.title() if len(part) == 4 else part.upper() for part in rest)])


def _recordings(root: Path, edition: str) -> Iterator[Recording | Finding]:
    top, _ = listing(root)
    known = CODES | OLD_CODES.keys()
    codes = {code: code for code in top if code in known}
    if "data" in top:
        codes |= {code: f"data/{code}" for code in listing(root / "data")[0] if code in known}
    codes = {code: folder for code, folder in codes.items() if _has_table(root / folder)}
    copy = look(root, edition, known, ALL)
    if not codes and not copy.tables:
        raise layout_error(root, "a folder <code> or data/<code> with train.tsv, or tables of a cache")
    shared = {split: _audio(root, [split]) for split in SPLITS if split in top}
    taken: set[str] = set()
    for code, folder in sorted(codes.items()):
        yield from _language(root, code, folder, shared, taken)
    for paths in shared.values():
        for name, path in paths.items():
            if path not in taken:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{stem(name)}: in no table of its split")
    yield from copy.findings
    yield from _rows(root, copy)


def _has_table(folder: Path) -> bool:
    return any(is_file(folder / f"{split}.tsv") for split in SPLITS)


def _audio(root: Path, folders: list[str]) -> dict[str, str]:
    """Return {file name: path} of the sound files in some folders; of a name in several, the first folder counts."""
    paths: dict[str, str] = {}
    for folder in folders:
        for name in listing(root / folder)[1]:
            if is_audio(name):
                paths.setdefault(name, f"{folder}/{name}")
    return paths


def _language(
    root: Path, code: str, folder: str, shared: dict[str, dict[str, str]], taken: set[str]
) -> Iterator[Recording | Finding]:
    """Yield one language's recordings; the paths that it uses of the shared folders are added to `taken`."""
    for split in SPLITS:
        # A copy may have unpacked all languages' archives into one folder for each split.
        own = [path for path in (f"{folder}/audio/{split}", f"{folder}/{split}") if is_folder(root / path)]
        audio = _audio(root, own) if own else shared.get(split, {})
        seen: set[str] = set()
        table = root / folder / f"{split}.tsv"
        for number, fields in tab_fields(table) if is_file(table) else ():
            with one_row(table, number):
                if len(fields) != FIELDS or not fields[0].isdecimal() or not is_audio(fields[1]) or "/" in fields[1]:
                    raise bad_line(
                        table, number, "sentence id, file name and 5 more fields with tabs between", "\t".join(fields)
                    )
                sentence, name, original, text, _, _, gender = fields
                where = f"{folder}/{split}.tsv:{number}"
                if name in seen:
                    yield Finding(REPEATED_ID, where, f"{code}_{stem(name)}: a row with this file came before")
                elif name not in audio:
                    yield Finding(LABEL_WITHOUT_AUDIO, where, f"{code}_{stem(name)}: no audio file {name}")
                else:
                    gender = GENDERS.get(gender, gender)
                    yield _recording(code, audio[name], split, stem(name), sentence, text, original, gender)
                seen.add(name)
        if own:
            yield from _rest(root, own, audio, seen, code)
        else:
            taken.update(audio[name] for name in seen if name in audio)


def _rows(root: Path, copy: Copy) -> Iterator[Recording | Finding]:
    for row in copy.rows(COLUMNS):
        code = row.text("lang_id") or row.table.config
        if code == ALL:
            raise CorpusError(
                f"{root / row.table.path}: no language: expected dataset_info.json in its folder with the names of"
                " lang_id, got none. Read the languages' own tables, or build the cache again."
            )
        if code not in CODES and code not in OLD_CODES:
            yield Finding(BROKEN_LABEL, row.path, f"expected a code of FLEURS as lang_id, got {code!r}")
            continue
        file = row.file.replace("\\", "/").rpartition("/")[2]
        if not file:
            yield Finding(BROKEN_LABEL, row.path, "expected a file name in audio.path or path, got none")
            continue
        if len(row.audio) != 1:
            yield row.missing(f"{code}_{stem(file)}")
            continue
        text, original = row.text("transcription"), row.text("raw_transcription")
        sentence = None if row.values.get("id") is None else str(row.values["id"])
        yield _recording(code, row.audio[0], row.table.split, stem(file), sentence, text, original, _gender(row))


def _gender(row: TableRow) -> str | None:
    number = row.values.get("gender")
    return CLASS_GENDERS.get(number) if isinstance(number, int) else row.text("gender")


def _rest(root: Path, folders: list[str], audio: dict[str, str], seen: set[str], code: str) -> Iterator[Finding]:
    """Yield a finding for each sound file that no row names, and for second copies of one that a row names."""
    for folder in folders:
        for path in _audio(root, [folder]).values():
            name = path.rpartition("/")[2]
            if name not in seen:
                yield Finding(AUDIO_WITHOUT_LABEL, path, f"{code}_{stem(name)}: in no row of its table")
            elif audio[name] != path:
                yield Finding(DUPLICATE, path, f"{code}_{stem(name)}: read from {audio[name]}")


def _recording(
    code: str,
    path: str,
    split: str,
    name: str,
    sentence: str | None,
    text: str | None,
    original: str | None,
    gender: str | None,
) -> Recording:
    recording = f"{OLD_CODES.get(code, code)}_{name}"
    labels: DraftLabels = {"text": text, "text_original": original, "gender": gender, "sentence_id": sentence}
    labels |= {"language": language_tag(code), "defects": ["noise instead of speech"] if recording in NOISE else None}
    return Recording(recording, path, split, present(labels))
