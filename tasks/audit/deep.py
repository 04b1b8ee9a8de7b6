"""doit audit --deep: archives are read and compared with their published sums, trees with what was extracted."""

from earmark.archives import proof, unpack
from earmark.catalog.tables import ArchiveTable
from earmark.errors import EarmarkError
from tasks.audit.inventory import ArchiveAudit, CorpusAudit
from tasks.engine.stage import Run
from tasks.stages import archive_records


def check_sums(run: Run, entry: ArchiveAudit, dataset: str, archive: ArchiveTable) -> None:
    """Read an archive and compare it with its published sums."""
    source = archive_records.source_of(run.project, dataset, archive)
    if not any(file.sums for file in source.files):
        entry.note = "no published sums to compare with"
        return
    raw = unpack.HashingReader(source.files)
    with run.log.progress(f"audit {dataset} {archive.file}", entry.size, unit="bytes") as bar:
        try:
            for block in raw.blocks():
                bar.advance(len(block))
            raw.checked_sums()
            entry.note = "content as published"
        except EarmarkError as error:
            entry.state, entry.note = "wrong content", str(error)


def compare_members(run: Run, row: CorpusAudit, tables: tuple[ArchiveTable, ...]) -> None:
    """Compare the sealed lists of members with the tree; files that were written to since are read again."""
    for archive in tables:
        receipt = archive_records.extraction_of(run.project, row.dataset, archive.file)
        if receipt is None:
            continue
        members, folder = run.project.home / receipt.outputs.members.path, run.project.folder(row.dataset)
        with run.log.progress(f"audit {row.dataset} members", receipt.counts["member_bytes"], unit="bytes") as bar:
            memo = run.project.memo
            faults = list(proof.faults(members, folder, reading="changed", memo=memo, on_bytes=bar.advance))
        if faults:
            what = f"{len(faults):,} of {receipt.counts['members']:,} members of {archive.file} are not as extracted"
            row.missing.append(f"{what} ({faults[0]})")
            row.state, row.incomplete = "extracted in part", True
    for each in row.archives if row.incomplete else ():  # the only whole copy of what the tree lacks
        each.frees_after_extract, each.frees_now = each.frees_after_extract + each.frees_now, 0
