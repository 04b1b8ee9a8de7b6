"""`doit list` without names: what is on this disk, and the commands. `doit list --all` lists every task."""

from collections.abc import Iterator, Mapping

from earmark.catalog.project import Project
from tasks.stages import presence

COMMANDS = {
    "doit features:DATASET": "all up to the features of one dataset; likewise extract, scan, standardize, manifest",
    "doit features": "the same of every dataset on this disk, the most urgent first",
    "doit job:JOB": "what a training job reads, and all that it needs",
    "doit list --status [--all]": "what is current and what would run; with --all, the shards too",
    "doit why TASK": "why a task would run",
    "doit plan [TASK]": "what would run, what it would write, and whether it fits",
    "doit audit [DATASET]": "every archive and corpus on disk, what is missing, what could be freed",
    "doit verify [DATASET]": "read everything again and compare",
    "doit cleanup:DATASET --yes": "delete archives that are proved extracted; without --yes, only name them",
    "doit gc [--yes]": "what nothing names any more; with --yes, delete it",
    "doit new-corpus name=NAME": "a reader, a fixture and a catalog table to start from",
    "doit new-catalog at=FOLDER": "a catalog of your own, which takes over the shipped one",
    "doit check": "lint, types and tests",
    "doit docs": "write docs/catalog.md and docs/corpora.md anew",
    "doit list --all": "every task",
    "doit help [COMMAND or TASK]": "options",
}
WIDTH = 28  # of the first column
FLAGS = (
    "subtasks",
    "quiet",
    "status",
    "private",
    "list_deps",
    "template",
    "pos_args",
)  # each means doit's own list


def is_wanted(options: Mapping[str, object]) -> bool:
    """Say whether `doit list` was given no names and no options."""
    return not any(options.get(flag) for flag in FLAGS) and options.get("sort", "name") == "name"


def overview(project: Project) -> Iterator[str]:
    """Yield the lines of `doit list`."""
    catalog = project.catalog
    here, away = presence.here_and_absent(project, catalog.by_priority())
    yield f"on this disk ({len(here)} of the {len(catalog.datasets)} datasets in {project.path.name}):"
    yield from (_line(name, _about(project, name)) for name in here)
    several = {f"manifest:{name}": table.datasets for name, table in catalog.manifests.items()}
    several |= {f"job:{name}": table.datasets for name, table in catalog.jobs.items()}
    counts = {name: len(presence.here_and_absent(project, datasets)[0]) for name, datasets in several.items()}
    if any(counts.values()):
        yield "joint manifests and jobs with a dataset on this disk:"
    for name, count in counts.items():
        if count:
            yield _line(name, f"{count} of {len(several[name])} datasets are here")
    yield "commands:"
    yield from (_line(command, what) for command, what in COMMANDS.items())
    if away:
        yield f"not on this disk: {', '.join(away)}. `doit why extract:<dataset>` says where archives belong."


def _about(project: Project, name: str) -> str:
    """Return what a dataset is, in a few words."""
    table = project.dataset(name)
    encoders = ", ".join(project.catalog.encoders_of(name))
    words = (table.corpus, table.language, table.licence, f"encoders {encoders}" if encoders else "no encoder")
    return ", ".join(word for word in words if word)


def _line(name: str, words: str) -> str:
    return f"  {name:<{WIDTH}} {words}"
