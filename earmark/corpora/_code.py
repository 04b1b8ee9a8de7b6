"""The code of a reader as a part of what a scan is made from: an edited reader is noticed without a new VERSION."""

import functools
import pkgutil
import re

import xxhash

PACKAGE = "earmark.corpora"
# Modules of this folder in `from earmark.corpora._tree import x`, `from earmark.corpora import _tree, y`, `import ...`;
# a name that is no module is passed over. Read from the text: to parse it would cost each start of doit 0.1 s.
IMPORT = re.compile(
    rf"^[ \t]*(?:from|import) {re.escape(PACKAGE)}((?:\.\w+)*)(?: import (\([^)]*\)|[^\n#]*))?", re.MULTILINE
)


def code_of(corpus: str) -> str:
    """Return a hash over the source of a reader's module and of all modules of this folder that it imports, in turn."""
    digest = xxhash.xxh3_128()
    for name in sorted(_reached(corpus)):
        digest.update(f"{name}\0".encode() + (_source(name) or b"") + b"\0")
    return digest.hexdigest()


def _reached(corpus: str) -> set[str]:
    """Return the names of the modules, below the package, that a way of imports leads to: "" is the package itself."""
    reached, pending = set[str](), [corpus]
    while pending:
        name = pending.pop()
        if name not in reached and _source(name) is not None:
            reached.add(name)
            pending += _imported(name)
    return reached


@functools.cache
def _imported(name: str) -> tuple[str, ...]:
    """Return the names that a module imports from this folder; some are functions, which are no modules."""
    source = _source(name) or b""
    found: list[str] = []
    for match in IMPORT.finditer(source.decode("utf-8", "replace")):
        module = match[1].removeprefix(".")
        parts = re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?:,|\)|$)", match[2] or "")
        above = module.split(".")
        found += [".".join(above[: n + 1]) for n in range(len(above))]  # and the packages around it
        found += [f"{module}.{part}".removeprefix(".") for part in parts]
    return tuple(dict.fromkeys(["", *found]))


@functools.cache
def _source(name: str) -> bytes | None:
    """Return the source of a module below the package, by whatever loaded the package, a zip too; None without one."""
    below = name.replace(".", "/")
    for path in (f"{below}.py", f"{below}/__init__.py") if name else ("__init__.py",):
        try:
            return pkgutil.get_data(PACKAGE, path)
        except OSError:
            continue
    return None
