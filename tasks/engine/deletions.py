"""What cleanup keeps of archives: when one was proved to lie on disk member by member, and when it was deleted.

One receipt an archive in `cache/receipts/cleanup/<dataset>/`; its state is "proved", then "deleting" from before the
archive goes until it is gone, then "deleted". The receipt of its extraction stays and says what is in the tree.
"""

import datetime

from earmark.catalog.project import Project
from earmark.disk.receipts import Receipt, read_receipt

STAGE = "cleanup"
NAMED = 2  # deleted archives that a message names


def deleted(project: Project, dataset: str) -> list[Receipt]:
    """Return the tombstones of a dataset's archives that cleanup deleted and that are not back."""
    home, folder = project.receipt(STAGE, dataset, "-").parent, project.folder(dataset)
    found = [read_receipt(path) for path in sorted(home.glob("*.json"))]
    return [
        receipt
        for receipt in found
        if receipt is not None
        and receipt.stage == STAGE
        and receipt.outputs["state"] != "proved"
        and not (folder / receipt.inputs["file"]).exists()
    ]


def words(project: Project, dataset: str) -> str:
    """Say which archives of a dataset were deleted, when, and how to have them back; "" where none was."""
    found = deleted(project, dataset)
    said = []
    for receipt in found[:NAMED]:
        sums = ", ".join(f"{name} {value}" for name, value in receipt.inputs["sums"].items())
        said.append(
            f"{receipt.inputs['file']} was deleted on {day(receipt)} by `doit cleanup:{dataset} --yes`, when all its"
            f" members were on disk ({receipt.inputs['size']:,} bytes, {sums})"
        )
    if len(found) > NAMED:
        said.append(f"so were {len(found) - NAMED:,} more")
    home = project.dataset(dataset).home
    again = f" Download it again{f' from {home}' if home else ''} and run `doit -a extract:{dataset}`." if said else ""
    return f"{'; '.join(said)}.{again}" if said else ""


def day(receipt: Receipt) -> str:
    """Return the date of a deletion, local time."""
    return datetime.datetime.fromtimestamp(receipt.outputs["at"]).strftime("%Y-%m-%d")
