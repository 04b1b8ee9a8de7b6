"""Units of work: a dataset in a stage, or one shard of it; and the names of their tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Unit:
    """A piece of a stage's work: a whole dataset, or one shard of it; or a job or joint manifest, by its name."""

    stage: str
    dataset: str
    part: str = ""

    def __str__(self) -> str:
        """Return the name of its doit task."""
        return ":".join(filter(None, (self.stage, self.dataset, self.part)))

    @classmethod
    def parse(cls, name: str) -> "Unit":
        """Return the unit of a task named `<stage>[:<dataset>[:<shard>]]`; a part that is absent is "".

        Whether there are such a stage, dataset and shard is not checked here.
        """
        stage, _, rest = name.partition(":")
        dataset, _, part = rest.partition(":")
        return cls(stage, dataset, part)

    @property
    def whole(self) -> "Unit":
        """The unit of the whole dataset in the same stage."""
        return Unit(self.stage, self.dataset)
