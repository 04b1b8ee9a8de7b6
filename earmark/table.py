"""A table of the catalog: what every one of them has in common."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the catalog: no unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
