"""README.md and docs/*.md as tests read them: code blocks with what is to be done with each, sections, tables.

The info string of a fence is `<kind> [continued] [no-run: <why>]`:

    console    `$ ` starts a command, run by bash; the lines after it are what it prints, or some of it: each must come,
               in whatever order, since doit does not always take tasks in the same one; numbers, times and identities
               may differ; `...` stands for lines that are left out, or for the rest of one
    sh         a script, run by bash; any failing command fails it
    python     a script; `continued`: it goes on from the Python block before it
    toml       tables of a catalog, taken into the shipped one; with `extends`, a catalog of its own
    json       one JSON value
    jsonl      one JSON object a line
    text       to be read alone: drawings, layouts; no command

`no-run` is for what cannot be run here, such as a download; the tests show each with its reason.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = ("console", "sh", "python", "toml", "json", "jsonl", "text")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}) *(.*)$")
INFO = re.compile(r"^(\S+)( continued)?(?: no-run: (.+))?$")
HEADING = re.compile(r"^(#+) +(.+?) *$")
VARIES = re.compile(
    r"\b[0-9a-f]{8}\b|(?:\d+ h )?\d+ min(?: \d+ s)?|\d[\d,.]*(?: s\b)?"
)  # an identity; a time; a number
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """A code block: where it is, and what its fence says."""

    document: str
    line: int
    kind: str
    continued: bool
    no_run: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that it is to print."""

    text: str
    printed: tuple[str, ...]


def blocks(document: str, text: str) -> list[Block]:
    """Return the code blocks of a document. Raises ValueError for a fence that says nothing that is known."""
    found, lines = [], enumerate(text.splitlines(), 1)
    for number, line in lines:
        fence = FENCE.match(line)
        if not fence:
            continue
        body = []
        for _, inner in lines:
            if inner.strip() == fence[2]:
                break
            body.append(inner)
        else:
            raise ValueError(f"{document}:{number}: a code block without an end")
        info = INFO.match(fence[3].strip())
        if not info or info[1] not in KINDS:
            expected = f"expected one of {', '.join(KINDS)}, then `continued` or `no-run: <why>` if need be"
            raise ValueError(f"{document}:{number}: {expected}, got {fence[3]!r}")
        content = textwrap.dedent("".join(f"{inner}\n" for inner in body))
        found.append(Block(document, number, info[1], bool(info[2]), info[3] or "", content))
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block; `\\` and `> ` carry one over lines. Raises ValueError for none."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith(PROMPT):
            found.append(([line.removeprefix(PROMPT)], []))
        elif not found:
            raise ValueError(f"{block}: expected a command after {PROMPT!r}, got {line!r}")
        elif found[-1][0][-1].endswith("\\") and not found[-1][1]:
            found[-1][0].append(line.removeprefix("> "))
        else:
            found[-1][1].append(line)
    if not found:
        raise ValueError(f"{block}: expected a command after {PROMPT!r}, got none")
    return [Command("\n".join(words), tuple(printed)) for words, printed in found]


def missing(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first expected line that was not printed."""
    shapes = {_shape(line) for line in printed.splitlines()}
    for line in expected:
        shape = _shape(line)
        begun = shape.removesuffix("...").rstrip()
        if shape not in shapes and (begun == shape or not any(got.startswith(begun) for got in shapes)):
            return line
    return None


def _shape(line: str) -> str:
    return " ".join(VARIES.sub("#", line).split())


def section(text: str, title: str) -> str:
    """Return the text below a heading, up to the next of its rank or above. Raises ValueError where there is none."""
    lines, rank, found = text.splitlines(), 0, []
    for line in lines:
        heading = HEADING.match(line)
        if rank and heading and len(heading[1]) <= rank:
            return "\n".join(found)
        if rank:
            found.append(line)
        elif heading and heading[2] == title:
            rank = len(heading[1])
    if not rank:
        raise ValueError(f"no section called {title}")
    return "\n".join(found)


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every row of the Markdown tables in a text, heads and rules left out."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    rules = [at for at, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    left_out = {*rules, *(at - 1 for at in rules)}
    return [row for at, row in enumerate(cells) if at not in left_out]


def code_spans(text: str) -> list[str]:
    """Return what stands between single backticks."""
    return re.findall(r"`([^`]+)`", text)


def documents(checkout: Path) -> Iterator[Path]:
    """Yield README.md and the pages of docs/."""
    yield checkout / "README.md"
    yield from sorted((checkout / "docs").glob("**/*.md"))


def links(text: str) -> list[str]:
    """Return where the links of a document lead, those to other sites left out."""
    outside = re.sub(r"(?ms)^ *(```|~~~).*?^ *\1", "", text)
    return [target for target in LINK.findall(outside) if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as they are made where Markdown is shown."""
    titles = (heading[2] for line in text.splitlines() if (heading := HEADING.match(line)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
