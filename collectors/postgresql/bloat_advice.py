"""What to do about bloat, decided purely: only where much is to be gained, and with what it takes."""

from collections.abc import Iterable

from collectors.postgresql.sql import quote_identifier
from toban.advice import Advice
from toban.bloat import Bloat
from toban.units import size_text

WORTH_BYTES = 10 * 1024**2
WORTH_RATIO = 0.3


def bloat_advice(rows: Iterable[tuple[str, object]]) -> list[Advice]:
    """Advice by target and database, the most to be gained first. What was counted is told even if it is fine."""
    found = [(target, row) for target, row in rows if isinstance(row, Bloat) and (row.exact or worth_it(row))]
    found.sort(key=lambda one: (one[0], one[1].database, -one[1].bloat_bytes))
    return [_advice(target, row) for target, row in found]


def worth_it(bloat: Bloat) -> bool:
    """Whether it is much, of itself and of the whole."""
    return bloat.bloat_bytes >= WORTH_BYTES and bloat.ratio >= WORTH_RATIO


def _advice(target: str, bloat: Bloat) -> Advice:
    kind = "index" if bloat.index else "table"
    reason, action = (f"bloat_{kind}", "rebuild") if worth_it(bloat) else ("bloat_little", "keep")
    return Advice(
        target=target,
        database=bloat.database,
        subject=f"{bloat.schema}.{bloat.index or bloat.table}",
        action=action,
        reason=f"{reason}_exact" if bloat.exact and worth_it(bloat) else reason,
        values={
            "bloat": size_text(bloat.bloat_bytes),
            "size": size_text(bloat.size_bytes),
            "percent": f"{bloat.ratio * 100:.0f}",
            "left": size_text(bloat.size_bytes - bloat.bloat_bytes),
        },
        run=_run(bloat) if worth_it(bloat) else "",
        gain_bytes=bloat.bloat_bytes,
    )


def _run(bloat: Bloat) -> str:
    schema = quote_identifier(bloat.schema)
    if bloat.index:
        return f"REINDEX INDEX CONCURRENTLY {schema}.{quote_identifier(bloat.index)};"
    return f"VACUUM (FULL, ANALYZE) {schema}.{quote_identifier(bloat.table)};"
