"""The stages in the order of work: the one list of them."""

from tasks.stages import extract, features, manifest, scan, standardize_gather

STAGES = (extract.STAGE, scan.STAGE, standardize_gather.STAGE, manifest.STAGE, features.STAGE)
