"""What doit is given and what it hands over, as types: doit itself has none."""

from collections.abc import Callable, Sequence
from typing import NotRequired, Protocol, TypedDict

Action = tuple[Callable[..., object], list[object]]  # a function and its arguments


class Option(TypedDict):
    """An option of a command or a task, as doit's parser of command lines takes it."""

    name: str
    long: str
    type: type
    default: object
    help: str


class TaskDict(TypedDict):
    """A task as dodo.py yields it. `actions` None: a group, which runs what it names in `task_dep`."""

    basename: str
    actions: list[Action] | None
    doc: NotRequired[str]
    targets: NotRequired[list[str]]
    file_dep: NotRequired[list[str]]
    task_dep: NotRequired[list[str]]
    uptodate: NotRequired[list[object]]
    params: NotRequired[list[Option]]


class DelayedLoader(Protocol):
    """What doit keeps of a task whose creator it has not called yet."""

    basename: str | None
    creator: Callable[[], object]


class DoitTask(Protocol):
    """A task as doit made it; `loader` is None once it is more than a stand-in for what a creator will yield."""

    name: str
    actions: Sequence[object]
    task_dep: list[str]
    loader: DelayedLoader | None
    subtask_of: str | None


class Failure(Protocol):
    """Why a task failed; doit adds `traceback` to a bug, and to nothing that an action returned."""

    message: str


class Codec(Protocol):
    """How doit turns what it remembers of a task into text."""

    def encode(self, data: object) -> str:
        """Return data as text."""

    def decode(self, data: str) -> object:
        """Return what was encoded. Raises ValueError for other text."""


class Memory(Protocol):
    """doit's memory of tasks, of which `doit ignore` writes a part."""

    def get(self, task_id: str, dependency: str) -> object:
        """Return what is known of a task's dependency, or None."""


class DependencyManager(Protocol):
    """What doit asks whether a task is up to date; it has the memory."""

    @property
    def backend(self) -> Memory:
        """The memory."""


class DoitCommand(Protocol):
    """A command once doit has loaded the tasks."""

    task_list: Sequence[DoitTask]
    dep_manager: DependencyManager
