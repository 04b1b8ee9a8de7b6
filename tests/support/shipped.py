"""What earmark ships: datasets of its catalog and readers, apart from a user's own in the same checkout.

A user adds tables to datasets.toml and readers to earmark/corpora, with or without fixtures; the tests of what is
shipped look at these names alone. A name that is added to earmark is added here.
"""

import tomllib

from support.collection import CHECKOUT

DATASETS = """
    demo mls_english mls_english_flac librispeech libritts libritts_r libri_light libri_light_limited mls_german
    mls_dutch mls_french mls_spanish mls_italian mls_portuguese mls_polish commonvoice_en voxpopuli fleurs
    hifi_tts timit aishell4 ami voxconverse voxceleb1 voxceleb2 ravdess crema_d meld vocalset vocalsound sep28k
    nsynth musdb18 musdb18_hq musan urbansound8k fsd50k esc50 audioset wham dns_challenge librimix emotion
    prosody paralinguistics singing
""".split()  # noqa: SIM905 - a name a line would be four pages
READERS = """
    aishell4 ami audiofolder audioset common_voice crema_d dns_challenge esc50 fleurs fsd50k hifi_tts kaldi
    libri_light librimix librispeech libritts meld mls musan musdb18 nsynth ravdess sep28k tables timit
    urbansound8k vocalset vocalsound voxceleb voxconverse voxpopuli wham
""".split()  # noqa: SIM905 - a name a line would be four pages


def shipped_tables():
    """Return the catalog of the checkout as it was shipped: without datasets of a user's own, alone or in a list."""
    tables = tomllib.loads((CHECKOUT / "datasets.toml").read_text("utf-8"))
    shipped = {name: table for name, table in tables["datasets"].items() if name in DATASETS}
    lists = {kind: _lists(tables.get(kind, {})) for kind in ("manifests", "jobs")}
    return tables | lists | {"datasets": shipped}


def _lists(named):
    """Return joint manifests or jobs with the shipped datasets alone; those of a user's own datasets are left out."""
    kept = {}
    for name, table in named.items():
        datasets = [dataset for dataset in table["datasets"] if dataset in DATASETS]
        if datasets:
            kept[name] = table | {"datasets": datasets}
    return kept
