"""Label files in another form than the corpus documents: one line that names the file, the line, and what is expected.

A table that cannot be read at all stops the scan; one broken row, or a broken file of one recording, is a finding.
"""

import re

import pytest
from support.readers import write

from earmark import corpora
from earmark.corpora import Finding, ReaderOptions
from earmark.errors import CorpusError

CV = "client_id\tpath\tsentence\n"
NS, NS_NOTES = {"nsynth-test/audio/a": ""}, "nsynth-test/examples.json"
NOTE = '\n"a": {"instrument_str": "a", "instrument_family_str": "b", "instrument_source_str": "c", "pitch": 1, "velocity": 1,'
NOTE += '\n"qualities_str": []}'
RTTM = "SPEAKER %s 1 0.1 1.0 <NA> <NA> spk00 <NA> <NA>\n"
WHAM, WHAM_COLUMNS = "metadata/noise_meta_cv.csv", "utterance_id,Noise Band,File ID,L to R Width (cm),"
WHAM_COLUMNS += "Reverberation Level,Location ID,Location Day ID"
RIR, RIR_COLUMNS = "x/RIR_table_simple.csv", "wavfile,channel,T60_WB,C50_WB,isRealRIR"
SNRS = "wav16k/min/metadata/metrics_dev_mix_both.csv"
ACTORS, VOTES = "ActorID,Age,Sex,Race,Ethnicity", "processedResults/tabulatedVotes.csv"
MELD_CLIP = {"dev_splits_complete/a.mp4": ""}
MELD_ROW = "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
MELD_ROW += 'A,Joey,%s,neutral,1,%s,8,21,"0:00:01,05","0:00:02,050"\n'
ESC = "filename,fold,target,category,esc10,src_file,take"
US8, US8_COLUMNS = "metadata/UrbanSound8K.csv", "slice_file_name,fsID,start,end,salience,fold,classID,class"
FSD, FSD_INFO = "FSD50K.ground_truth", "FSD50K.metadata/eval_clips_info_FSD50K.json"
FSD_EVAL = "fname,labels,mids\n1,A,/m/a\n"
CLASSES = {"metadata/class_labels_indices.csv": "index,mid,display_name\n1,/m/b,B\n"}
VOX = "VoxCeleb2 ID ,Gender ,Set \n"
AMI = {
    "ES2002a/audio/x": "",
    "corpusResources/meetings.xml": '<meeting observation="ES2002a"><speaker nxt_agent="A" global_name="F"/></meeting>',
    "segments/ES2002a.A.segments.xml": '<r><segment><child href="ES2002a.A.words.xml#id(w0)"/></segment></r>',
}
VS = {f"datafiles/{name}.json": '{"data": []}' for name in ("tr", "val", "te")} | {"audio_16k/a": ""}
SEP = (
    "Show,EpId,ClipId,Start,Stop,Unsure,PoorAudioQuality,Prolongation,Block,SoundRep,WordRep,DifficultToUnderstand,"
    "Interjection,NoStutteredWords,NaturalPause,Music,NoSpeech"
)
AF = "file_name\na.wav\n"
LS = {"dev/1/2/1-2.trans.txt": "1-2-3 A\n", "dev/1/2/1-2-3.flac": ""}
TIER = 'File type = "ooTextFile"\n"TextGrid"\n0 1 <exists> 1\n"IntervalTier" "%s"\n0 1 1\n%s "a"\n'  # the short form


def read(corpus, root, files):
    write(root, files)
    options = ReaderOptions(options={"splits": ["train"]} if corpus == "common_voice" else {})
    return list(corpora.read(corpus, root, options))


@pytest.mark.parametrize(
    ("corpus", "files", "message"),
    [
        ("mls", {"dev/audio/a": ""}, r"transcripts\.txt: label file cannot be read"),
        ("mls", {"dev/transcripts.txt": ""}, r"audio: cannot be listed"),
        ("common_voice", {"audios/x": "", "ss-corpus-pl.tsv": CV}, r"ss-corpus-pl\.tsv:1: .* a column audio_file"),
        ("common_voice", {"clips/a": "", "train.tsv": "client_id\tpath\n"}, r"train\.tsv:1: .* a column sentence"),
        ("common_voice", {"clips/a": "", "train.tsv": ""}, r"train\.tsv: empty table"),
        ("voxpopuli", {"it/asr_dev.tsv": "id\ttext\n"}, r"asr_dev\.tsv:1: .* a column normalized_text"),
        ("voxpopuli", {"it/asr_it.tsv": "id_|split\n"}, r"asr_it\.tsv:1: .* a column session_id"),
        ("voxpopuli", {"it/asr_it.tsv.gz": b"\x1f\x8b\x08half"}, r"asr_it\.tsv\.gz: label file cannot be read"),
        ("voxceleb", {"id10001/v/1.wav": ""}, r"no vox1_meta\.csv or vox2_meta\.csv: .* options = \{ lists"),
        ("voxceleb", {"id10001/a": "", "vox1_meta.csv": "A\tGender\tSet\n"}, r"vox1_meta\.csv:1: .* a column id"),
        ("ami", {**AMI, "corpusResources/meetings.xml": "<r>\n<meeting>"}, r"meetings\.xml:2: .* expected XML"),
        ("ami", AMI, r"ES2002a\.A\.words\.xml: label file cannot be read"),
        ("nsynth", {**NS, NS_NOTES: ""}, r"examples\.json:1: .* one JSON object"),
        ("nsynth", {**NS, NS_NOTES: b"\xff"}, r"examples\.json: not UTF-8"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE}"}, r"json:3: .* one JSON object"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE}}}x"}, r"json:3: .* the end of the"),
        ("nsynth", {**NS, NS_NOTES: f"{{{NOTE},1:{{}}}}"}, r"json:3: .* one JSON ob"),
        ("nsynth", NS, r"examples\.json: label file cannot be read"),
        ("wham", {"cv/a.wav": ""}, r"noise_meta_cv\.csv: label file cannot be read"),
        ("wham", {"cv/a": "", WHAM: "utterance_id\na.wav\n"}, r"noise_meta_cv\.csv:1: .* a column Noise Band"),
        (
            "dns_challenge",
            {"noise/a": "", "x/RIR_table_simple.csv": "wavfile\n"},
            r"simple\.csv:1: .* a column channel",
        ),
        ("librimix", {"wav8k/min/dev/s1/a.wav": ""}, r"no wav16k/min: .* got wav8k/min\. .* rate = \"8k\""),
        ("librimix", {"wav16k/min/x/a.wav": ""}, r"min: not the layout of this corpus: expected a folder train-360"),
        ("librimix", {"wav16k/min/dev/mix_both/a.wav": "", SNRS: "mixture_ID\n"}, r"both\.csv:1: .* source_1_SNR"),
        ("crema_d", {"AudioWAV/a": "", VOTES: '"",A,D,F,H,N,S\n'}, r"Votes\.csv:1: .* a column fileName"),
        ("meld", {"dev_splits_complete/a.mp4": ""}, r"no dev_sent_emo\.csv: .* got none\. Put that of the publisher"),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": "Utterance\n"}, r"dev_sent_emo\.csv:1: .* a column Speaker"),
        ("esc50", {"audio/a": "", "meta/esc50.csv": "filename,fold\n"}, r"esc50\.csv:1: .* a column target"),
        ("fsd50k", {f"{FSD}/dev.csv": "fname,labels,mids\n"}, r"dev\.csv:1: .* a column split"),
        ("audioset", {"data/bal_train/00.parquet": "no table"}, r"00\.parquet: expected a table with the col"),
        ("audioset", {"mine/00.parquet": "no table"}, r"00\.parquet: expected a folder eval, bal_train, unbal_train"),
        ("vocalsound", {"audio_16k/a": "", "datafiles/tr.json": "[1]"}, r"tr\.json:1: .* a JSON object"),
        ("vocalsound", {"audio_16k/a": "", "datafiles/tr.json": '{"data": 1}'}, r"tr\.json:1: .* a list as"),
        ("sep28k", {"clips/a": "", "SEP-28k_labels.csv": "Show,EpId\n"}, r"labels\.csv:1: .* a column ClipId"),
        ("audiofolder", {"metadata.csv": "file_name,text,text\na,b,c\n"}, r"csv:1: .* each column once, got"),
        (
            "audiofolder",
            {"metadata.csv": "", "x/metadata.jsonl": ""},
            r"several forms: .* got metadata\.csv, x/metadata\.js",
        ),
        (
            "audiofolder",
            {"a/metadata.csv": AF, "b/metadata.csv": "file_name,x\na.wav,1\n"},
            r"b/metadata\.csv:1: .* the columns of a/meta",
        ),
        ("audiofolder", {"x/wav.scp": "", "x/a.wav": ""}, r'wav\.scp is the mark of corpus = "kaldi", got x'),
        ("audiofolder", {"x/a.wav": "", "y/z/b.wav": ""}, r"two or more class folders at one depth .* got x, y\."),
        ("audiofolder", {"data/train-0.parquet": ""}, r'inside are read by corpus = "tables", got data'),
        ("tables", {"a.parquet": "no table"}, r"a\.parquet: expected a Parquet file or an Arrow stream, got"),
        ("tables", {"a.parquet": "", "x/b.arrow": ""}, r"two forms: expected \*\.parquet or \*\.arrow, got"),
        ("tables", {"dev/train-0.parquet": ""}, r"train-0\.parquet: .* got dev \(dev\) and train-0 \(train\)\."),
        (
            "mls",
            {"dev/audio/a": "", "dev/transcripts.txt": "", "metainfo.txt": "\xff\xfe".encode("latin-1")},
            r"metainfo\.txt: not UTF-8: .* got UTF-16",
        ),
        ("voxpopuli", {"it/asr_it.tsv": b"id_\xff\n"}, r"asr_it\.tsv:1: .* a column session_id, got 'id_\ufffd'"),
        ("audiofolder", {"metadata.csv": "name\na.wav\n"}, r"metadata\.csv:1: .* in a column file_name"),
    ],
)
def test_a_label_file_that_cannot_be_read_is_refused_with_its_line(corpus, files, message, tmp_path):
    with pytest.raises(CorpusError, match=message):
        read(corpus, tmp_path, files)


@pytest.mark.parametrize(
    ("corpus", "files", "message"),
    [
        ("librispeech", {"dev/1/2/1-2.trans.txt": "1-2-3 A\n1-2-4\n"}, r"1-2\.trans\.txt:2: broken label line"),
        ("librispeech", {"dev/1/2/1-2.trans.txt": "12 A\n"}, r"1-2\.trans\.txt:1: .* expected <speaker>-<chapter>"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,2"\n'}, r"alignment\.txt:1: .* of one length"),
        ("librispeech", {"dev/1/2/1-2.alignment.txt": '1-2-3 ",A," "1,x,2"\n'}, r"alignment\.txt:1: broken"),
        ("librispeech", {"dev/a": "", "SPEAKERS.TXT": ";c\n14 F dev\n"}, r"SPEAKERS\.TXT:2: .* got '14 F dev'"),
        (
            "librispeech",
            {**LS, "dev/1/2/1-2-3.TextGrid": TIER % ("words", "2 1")},
            r"3\.TextGrid:6: .* got '2\.0 to 1\.0'",
        ),
        ("librispeech", {**LS, "dev/1/2/1-2-3.TextGrid": "1-2-3"}, r"3\.TextGrid:1: .*ooTextFile"),
        ("libri_light", {"small/1/b/a.flac": "", "small/1/b/a.json": "{"}, r"a\.json:1: .* expected a JSON object"),
        (
            "libri_light",
            {"small/1/b/a.flac": "", "small/1/b/a.json": '{"voice_activity": [1]}'},
            r"a\.json:1: .* \[on, o",
        ),
        ("libri_light", {"1h/0/clean/1/2/1-2.trans.txt": "1-2 A\n"}, r"1-2\.trans\.txt:1: .* expected <speaker>"),
        ("aishell4", {"test/wav/a.flac": "", "test/TextGrid/a.rttm": "SPEAKER a 1 0 x\n"}, r"a\.rttm:1: broken"),
        ("hifi_tts", {"92_manifest_clean_dev.json": "{}\n[1]\n"}, r"92_manifest_clean_dev\.json:1: .* audio_filepath"),
        ("hifi_tts", {"92_manifest_clean_dev.json": "[1]\n"}, r"clean_dev\.json:1: .* a JSON object, got '\[1\]'"),
        ("timit", {"test/dr1/faks0/sa1.wav": "", "test/dr1/faks0/sa1.phn": "0 9 a\n9 8 b\n"}, r"sa1\.phn:2: broken"),
        (
            "timit",
            {"test/dr1/faks0/sa1.wav": "", "test/dr1/faks0/sa1.txt": "0 9 A\n0 9 B\n"},
            r"sa1\.txt:2: .* a single",
        ),
        ("timit", {"test/a": "", "doc/spkrinfo.txt": "CJF0 F 1\n"}, r"spkrinfo\.txt:1: .* expected id, sex"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "1_2_3\tA\n\n1_2_4 B\n"}, r"transcripts\.txt:3: broken"),
        ("mls", {"dev/audio/a": "", "dev/transcripts.txt": "12\tA\n"}, r"transcripts\.txt:1: broken"),
        ("librispeech", {"dev/1/x": "", "CHAPTERS.TXT": "1 | 2 | 3\n"}, r"CHAPTERS\.TXT:1: .* project \| book"),
        ("libritts", {"dev/1/2/1_2.trans.tsv": "1_2_3_4\tA\n"}, r"1_2\.trans\.tsv:1: broken"),
        ("libritts", {"dev/1/2/1_2_3_4.normalized.txt": "A\nB\n"}, r"normalized\.txt:2: .* single line"),
        ("libritts", {"dev/a": "", "speakers.tsv": "84\n"}, r"speakers\.tsv:1: broken"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\tb\n"}, r"train\.tsv:2: .* expected 3 columns"),
        ("common_voice", {"clips/a": "", "train.tsv": f"{CV}a\t../b\tc\n"}, r"train\.tsv:2: .* a file name"),
        ("fleurs", {"it_it/dev.tsv": "1\ta.wav\tA\n"}, r"dev\.tsv:1: .* expected sentence id, file name"),
        ("fleurs", {"it_it/dev.tsv": "1\t../a.wav\tA\ta\ta\t1\tMALE\n"}, r"dev\.tsv:1: broken"),
        ("voxceleb", {"id10001/a": "", "vox2_meta.csv": f"{VOX}id1 ,m ,dev\n"}, r"vox2_meta\.csv:2: broken"),
        ("voxceleb", {"id10001/a": "", "vox2_meta.csv": f"{VOX}id10001 ,m\n"}, r"vox2_meta\.csv:2: .* 3 fields"),
        ("musan", {"music/fma/ANNOTATIONS": "a blues maybe X\n"}, r"ANNOTATIONS:1: .* Y or N"),
        ("musan", {"speech/librivox/ANNOTATIONS": "a m\n"}, r"ANNOTATIONS:1: .* language"),
        ("nsynth", {**NS, NS_NOTES: '{\n"a": {}}'}, r"json:2: .* instrument_str"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": f"{RTTM % 'a'}{RTTM % 'b'}"}, r"a\.rttm:2: .* a, got 'b'"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 0.1\n"}, r"a\.rttm:1: .* onset duration"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "LEXEME a 1 0 1 - - b - -\n"}, r"a\.rttm:1: .* expected SPEAKER"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 0 -1 - - b - -\n"}, r"a\.rttm:1: .* duration"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": "SPEAKER a 1 nan 1 - - b - -\n"}, r"a\.rttm:1: .* onset"),
        (
            "wham",
            {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,x,f,1,l,p,d\n"},
            r"csv:2: .* number in column Noise Band, got 'x'",
        ),
        ("wham", {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,1,f,1,x,p,d\n"}, r"csv:2: .* l, m or h"),
        ("wham", {"cv/a": "", WHAM: f"{WHAM_COLUMNS}\na.wav,1,f,1,l,p\n"}, r"csv:2: .* 7 columns"),
        ("dns_challenge", {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,x,2,0\n"}, r"csv:2: .* column T60_WB, got 'x'"),
        (
            "dns_challenge",
            {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,1,nan,0\n"},
            r"csv:2: .* column C50_WB, got 'nan'",
        ),
        ("dns_challenge", {"noise/a": "", RIR: f"{RIR_COLUMNS}\na.wav,1,1,2,no\n"}, r"simple\.csv:2: .* 0 or 1"),
        (
            "librimix",
            {"wav16k/min/dev/mix_both/a.wav": "", SNRS: "mixture_ID,source_1_SNR\na,inf\n"},
            r"both\.csv:2: .* dB",
        ),
        ("crema_d", {"AudioWAV/a": "", "SentenceFilenames.csv": "Filename\n1001_X\n"}, r"names\.csv:2: broken"),
        (
            "crema_d",
            {"AudioWAV/a": "", "VideoDemographics.csv": f"{ACTORS}\n1001,x,F,A,B\n"},
            r"csv:2: .* years as Age",
        ),
        (
            "crema_d",
            {"AudioWAV/a": "", VOTES: ',A,D,F,H,N,S,fileName\n"1",-1,0,0,0,0,0,a\n'},
            r"csv:2: .* whole number in column A, got",
        ),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": MELD_ROW % ("joyful", 1)}, r"emo\.csv:2: .* Emotion, got 'joyful'"),
        ("meld", {**MELD_CLIP, "dev_sent_emo.csv": MELD_ROW % ("joy", "x")}, r"emo\.csv:2: .* in column Utterance_ID"),
        (
            "meld",
            {**MELD_CLIP, "dev_sent_emo.csv": f'{MELD_ROW % ("joy", 1)}"A'},
            r"emo\.csv:3: .* got 'unexpected end",
        ),
        (
            "meld",
            {**MELD_CLIP, "dev_sent_emo.csv": (MELD_ROW % ("joy", 1)).replace("0:00:01,05", "1 s")},
            r"H:MM:SS,mmm",
        ),
        ("esc50", {"audio/a": "", "meta/esc50.csv": f"{ESC}\na.wav,1,50,dog,True,1,A\n"}, r"csv:2: .* from 0 to 49"),
        ("esc50", {"audio/a": "", "meta/esc50.csv": f"{ESC}\na.wav,1,0,dog,yes,1,A\n"}, r"csv:2: .* True or False"),
        ("urbansound8k", {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,2,0,1,1,5,3,dog\n"}, r"csv:2: .* <fsID>"),
        (
            "urbansound8k",
            {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,1,1,0,1,5,3,dog\n"},
            r"csv:2: .* an end after it, got",
        ),
        ("urbansound8k", {"audio/a": "", US8: f"{US8_COLUMNS}\n1-3-0-0.wav,1,0,1,x,5,3,dog\n"}, r"csv:2: .* salience"),
        ("fsd50k", {f"{FSD}/dev.csv": 'fname,labels,mids,split\n1,"A,B",/m/a,train\n'}, r"dev\.csv:2: .* as many mids"),
        ("fsd50k", {f"{FSD}/dev.csv": "fname,labels,mids,split\n1,A,/m/a,test\n"}, r"dev\.csv:2: .* train or val"),
        ("fsd50k", {f"{FSD}/eval.csv": 'fname,labels,mids\n1,"A,/m/a\n'}, r"eval\.csv:2: .* quoted fields"),
        ("fsd50k", {f"{FSD}/eval.csv": "fname,labels,mids\n", f"{FSD}/vocabulary.csv": "0,A\n"}, r"y\.csv:1: .* mid"),
        ("fsd50k", {f"{FSD}/eval.csv": FSD_EVAL, f"{FSD}/vocabulary.csv": "0,A,/m/b\n"}, r"l\.csv:2: .* vocabulary"),
        ("fsd50k", {f"{FSD}/eval.csv": FSD_EVAL, "FSD50K.eval_audio/1.wav": "", FSD_INFO: '{"1": 1}'}, ":1: .* a clip"),
        ("audioset", {"eval_segments.csv": "# c\n-0RWZT-miFs, 0.0, 1.0\n"}, r"eval_segments\.csv:2: .* id, start, end"),
        ("audioset", {"eval_segments.csv": "-0RWZT, 0.0, 1.0, /m/a\n"}, r"eval_segments\.csv:1: .* in column id, got"),
        ("audioset", {"csv/eval_segments.csv": '-0RWZT-miFs, 2.0, 1.0, "/m/a,/m/b"\n'}, r"s\.csv:1: .* an end after"),
        ("audioset", {"eval_segments.csv": "-0RWZT-miFs, 0, 1, /m/a\n", **CLASSES}, "csv:1: .* classes of .*'/m/a'"),
        (
            "vocalset",
            {"FULL/x/a": "", "test_singers_technique.txt": "male3\nm4\n"},
            r"technique\.txt:2: .* such as female1",
        ),
        ("vocalsound", {**VS, "meta/all_meta.csv": "f0001,female,36\n"}, r"all_meta\.csv:1: .* speaker, gender, age"),
        (
            "sep28k",
            {"clips/a": "", "SEP-28k_labels.csv": f"{SEP}\nA, 0, 0{', x' * 14}\n"},
            r"csv:2: .* in column Start",
        ),
        ("sep28k", {"clips/a": "", "SEP-28k_labels.csv": f"{SEP}\nA, , 0{', 0' * 14}\n"}, r"csv:2: .* in column EpId"),
        (
            "audiofolder",
            {"metadata.csv": "file_name,pitch\na.wav,high\n"},
            r"metadata\.csv:2: .* a whole number from 0 to 127 in",
        ),
        ("audiofolder", {"metadata.csv": "file_name,split\na.wav,mine\n"}, r"metadata\.csv:2: .* train, dev or test"),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a"}\n{"file_name": 3}\n'},
            r"jsonl:2: .* a path in column file_name, got '3'",
        ),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "singing": "la"}'},
            r"jsonl:1: .* true or false in column s",
        ),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "words": [{}]}'},
            r"jsonl:1: .* start and end in seconds",
        ),
        ("audiofolder", {"metadata.jsonl": '{"file_name": "a", "text": [1]}'}, r"jsonl:1: .* a text in column text"),
        (
            "audiofolder",
            {"metadata.jsonl": '{"file_name": "a", "genre": [1]}'},
            r"jsonl:1: .* a list of words in column",
        ),
        ("audiofolder", {"metadata.jsonl": '{"file_name": "a", "votes": [1]}'}, r"jsonl:1: .* object of whole numbers"),
        (
            "librispeech",
            {"dev/1/2/1-2.trans.txt": b"1-2-3 A\xff\n"},
            r"trans\.txt:1: .*: not UTF-8: .* byte 0xff at byte 7",
        ),
        (
            "librispeech",
            {**LS, "dev/1/2/1-2-3.TextGrid": TIER % ("tones", "0 1")},
            r"3\.TextGrid: .*: no alignment: expected a",
        ),
        (
            "aishell4",
            {"test/wav/a.flac": "", "test/TextGrid/a.TextGrid": (TIER % ("1", "0 1"))[:-4]},
            "a.TextGrid: .*: cut sh",
        ),
        (
            "mls",
            {"dev/audio/a": "", "dev/transcripts.txt": b"1_2_3\tA\n1_2_4\t\xc3\n"},
            r"transcripts\.txt:2: .*: not UTF",
        ),
        (
            "mls",
            {"dev/audio/a": "", "dev/transcripts.txt": "", "metainfo.txt": "SPEAKER\n"},
            r"metainfo\.txt:1: broken",
        ),
        (
            "ami",
            {**AMI, "corpusResources/meetings.xml": "<meeting/>"},
            r"meetings\.xml: .*: meeting: .* observation, got None",
        ),
        (
            "ami",
            {**AMI, "words/ES2002a.A.words.xml": "<r/>"},
            r"segments\.xml: .*: segment None: .* ids of the words file",
        ),
        ("ami", {**AMI, "words/ES2002a.A.words.xml": "<r><w/></r>"}, r"words\.xml: .*: w: .* an attribute id"),
        ("voxconverse", {"a.wav": "", "dev/a.rttm": ""}, r"a\.rttm: .*: empty label file"),
        ("vocalsound", {**VS, "datafiles/tr.json": '{"data": [{"wav": 1}]}'}, r"tr\.json:1: .* entry 1"),
        ("kaldi", {"wav.scp": "a a.wav\nb\n"}, r"wav\.scp:2: .* an id, a blank or tab, and a value"),
        ("kaldi", {"x/wav.scp": "a a.wav", "x/segments": "u a 0\n"}, r"segments:1: .* start and end in seconds"),
        ("kaldi", {"wav.scp": "a a.wav", "segments": "u a 0 1\nv a 2 x\n"}, r"segments:2: .* got 'v a 2 x'"),
        ("kaldi", {"wav.scp": "a a.wav", "segments": "u a 0 1\nv a 2 1\n"}, r"segments:2: .* v: expected a start"),
        (
            "kaldi",
            {"wav.scp": "a a.wav", "segments": "u a 2 -1", "reco2dur": "a nan"},
            r"segments:1: .* u: it ends with",
        ),
        (
            "nemo",
            {"m.json": '{"audio_filepath": "a"}\n{"audio_filepath": 1}\n'},
            r"m\.json:2: .* a path as audio_filepath",
        ),
        ("nemo", {"m.json": '{"audio_filepath":\n{"audio_filepath": "a"}\n'}, r"m\.json:1: .* a JSON object"),
        ("lhotse", {"recordings.jsonl": '{"id": "a"}\n[1]\n'}, r"recordings\.jsonl:1: .*KeyError: 'sources'"),
    ],
)
def test_a_broken_row_is_a_finding_with_its_line_and_stops_nothing(corpus, files, message, tmp_path):
    items = read(corpus, tmp_path, files)
    broken = [item for item in items if isinstance(item, Finding) and item.kind == corpora.BROKEN_LABEL]
    told = [f"{item.path}: broken label line: {item.detail}" for item in broken]
    assert re.search(message, told[0])
    assert not any(item.path.startswith("/") for item in broken)


def test_a_missing_table_and_a_missing_list_are_refused_with_what_to_do(tmp_path):
    write(tmp_path, {"cv/clips/a.mp3": "", "cv/validated.tsv": CV, "tts/dev-clean/a.txt": "", "lists/x": ""})
    with pytest.raises(CorpusError, match=r"no train\.tsv: .* got validated\.tsv\. .* splits = \[\"validated\"\]"):
        list(corpora.read("common_voice", tmp_path / "cv", ReaderOptions()))
    with pytest.raises(CorpusError, match=r"dev-clean_bad_sample_list\.txt: no list of bad samples"):
        list(corpora.read("libritts", tmp_path / "tts", ReaderOptions(options={"bad_samples": "../lists"})))


def test_an_info_table_of_librimix_with_a_name_for_a_number_loses_that_row_alone(tmp_path):
    info = "mixture_ID,speaker_1_ID,speaker_1_sex,speaker_2_ID,speaker_2_sex\n1-2-3_4-5-6,one,M,4.0,F\n"
    write(tmp_path, {"wav16k/min/dev/s1/1-2-3_4-5-6.wav": "", "info/libri2mix_dev-clean_info.csv": info})
    broken, recording = corpora.read("librimix", tmp_path, ReaderOptions(options={"metadata": "info"}))
    assert (broken.kind, broken.path) == (corpora.BROKEN_LABEL, "info/libri2mix_dev-clean_info.csv:2")
    assert "in column speaker_1_ID, got 'one'" in broken.detail
    assert "gender" not in recording.labels


def test_a_spreadsheets_spelling_of_true_is_true(tmp_path):
    (item,) = read("esc50", tmp_path, {"audio/a.wav": "", "meta/esc50.csv": f"{ESC}\na.wav,1,0,dog,TRUE,1,A\n"})
    assert item.labels["esc10"] is True


@pytest.mark.parametrize(("column", "cell"), [("fold", "1.5"), ("esc10", "perhaps"), ("take", ""), ("target", "50")])
def test_a_message_shows_the_cell_that_is_wrong_however_far_in_the_row_it_stands(column, cell, tmp_path):
    row = {"filename": f"{'long-' * 30}.wav", "fold": "1", "target": "0", "category": "dog", "esc10": "True"}
    row |= {"src_file": "1", "take": "A"} | {column: cell}
    (told,) = read("esc50", tmp_path, {"audio/x": "", "meta/esc50.csv": f"{ESC}\n{','.join(row.values())}\n"})
    assert told.path == "meta/esc50.csv:2"
    assert told.detail.endswith(f"in column {column}, got {cell!r}")
