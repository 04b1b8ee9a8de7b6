"""docs/troubleshooting.md quotes messages as the code words them; docs/design.md names the folders that there are."""

import ast
import re

import pytest
from support.collection import CHECKOUT
from support.documents import HEADING, code_spans, table_rows

PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text("utf-8")
QUOTED = [span for row in table_rows(PAGE) for span in code_spans(row[0])]
NOT_OURS = {"doit: command not found"}  # the shell's
VALUE = "..."  # in place of what a message fills in


def literal(node: ast.AST) -> str:
    """Return the text of a string or an f-string, with VALUE for what is filled in; an empty string for other nodes."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or VALUE for part in node.values)
    return ""


@pytest.fixture(scope="module")
def messages() -> list[str]:
    """All texts of the code but for docstrings."""
    modules = [*CHECKOUT.glob("earmark/**/*.py"), *CHECKOUT.glob("tasks/**/*.py")]
    nodes = [node for path in modules for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    return [text for node in nodes if node not in docstrings and (text := literal(node))]


def test_there_are_messages_to_check():
    assert len(QUOTED) > 60


@pytest.mark.parametrize("quoted", [quoted for quoted in QUOTED if quoted not in NOT_OURS])
def test_a_quoted_message_is_one_of_the_code(quoted, messages):
    parts = [re.escape(part) for part in quoted.split(VALUE)]
    shape = re.compile(".*".join(parts), re.DOTALL)
    one_word = quoted.isidentifier()  # a reason in quarantine: part of some other text it would be by chance
    assert quoted in messages if one_word else any(shape.search(message) for message in messages)


def test_the_map_of_folders_is_whole():
    """Two levels: `tasks/`, and indented below it `cli/`."""
    text = (CHECKOUT / "docs" / "design.md").read_text("utf-8")
    block = text.partition("## Folders")[2].partition("```text\n")[2].partition("```")[0]
    drawn, package = set(), ""
    for indent, name in re.findall(r"^( *)([a-z]+)/ ", block, re.MULTILINE):
        package = package if indent else name
        drawn.add(f"{package}/{name}" if indent else name)
    real = {
        path.parent.relative_to(CHECKOUT).as_posix()
        for package in ("earmark", "tasks")
        for pattern in ("*.py", "*/*.py")
        for path in (CHECKOUT / package).glob(pattern)
    }
    assert drawn == real | {"tests", "benchmarks"}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    path = CHECKOUT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        file, _, heading = target.partition("#")
        if "://" in file:
            continue
        linked = path.parent / file if file else path
        assert linked.is_file(), target
        anchors = {
            anchor_of(match[2]) for line in linked.read_text("utf-8").splitlines() if (match := HEADING.match(line))
        }
        assert not heading or heading in anchors, target


def anchor_of(heading: str) -> str:
    """Return a heading's anchor as Markdown viewers form it: lower case, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
