"""Room that tables and indexes take without need: the row that advice on bloat is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bloat:
    """One table, or with `index` one of its indexes, with what could be given back."""

    database: str
    schema: str
    table: str
    index: str = ""
    size_bytes: float
    bloat_bytes: float
    exact: bool = False
    """Counted by pgstattuple; else estimated by statistics."""
    standby: bool = False
    """Seen on a standby, where nothing can be rebuilt."""

    @property
    def ratio(self) -> float:
        """The share of its size that could be given back."""
        return self.bloat_bytes / self.size_bytes if self.size_bytes else 0.0
