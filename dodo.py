"""earmark: speech archives to training-ready manifests and encoder features. This file is the table of contents.

archive --extract--> raw tree --scan--> shard lists --standardize--> 16 kHz mono --manifest--> JSONL --job--> JSONL
                                                          `---------features---> Zarr packs

doit                          what there is, what is current, what would run and why
doit features:demo            everything that the features of one dataset need
doit job:ctc_asr              what a training job reads, from every dataset that it names
doit list [--status] [--all]  what is on this disk, or what of it is current; with --all, every task or shard
doit why features:demo        what differs, in words
doit audit, doit plan         what lies on the disk; what would run, write and fit
doit verify [DATASET ...]     read everything again and compare
"""

from pathlib import Path

from tasks.cli import dev, docs, doit_tasks, new_catalog, new_corpus

PROJECT = doit_tasks.open_here(Path(__file__).parent)
DOIT_CONFIG = doit_tasks.doit_config(PROJECT)

# extract:<dataset>, scan:<dataset>: known from the catalog
globals().update(doit_tasks.early_tasks(PROJECT))

# standardize:<dataset>[:<shard>], manifest:<dataset>, features:<dataset>[:<shard>]: known once a dataset is scanned
globals().update(doit_tasks.creators(PROJECT))


def task_job():
    """joint manifests, and what training jobs read: rows by label, splits held apart"""
    yield from doit_tasks.combined(PROJECT)


def task_verifying():
    """read everything of a dataset again and compare it with what was sealed"""
    yield from doit_tasks.verify_tasks(PROJECT)


def task_cleaning():
    """delete archives that are proved, member by member, to lie extracted on disk"""
    yield from doit_tasks.cleanup_tasks(PROJECT)


def task_groups():
    """one group a stage, over every dataset on this disk"""
    yield from doit_tasks.group_tasks(PROJECT)


def task_developing():
    """check, docs, new-corpus, new-catalog: for who works on earmark or begins something new"""
    yield from (*dev.check_tasks(), *docs.docs_tasks(), *new_catalog.new_catalog_tasks())
    yield from new_corpus.new_corpus_tasks(PROJECT)
