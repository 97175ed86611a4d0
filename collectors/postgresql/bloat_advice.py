"""What to do about bloat, decided purely: only where much is to be gained, and with what it takes."""

from collections.abc import Iterable

from collectors.postgresql.sql import quote_identifier
from toban.advice import Advice
from toban.bloat import Bloat
from toban.units import size_text

WORTH_BYTES = 10 * 1024**2
WORTH_RATIO = 0.3


def bloat_advice(rows: Iterable[tuple[str, object]]) -> list[Advice]:
    """Advice by target and database, the most to be gained first. What was counted is told even if it is fine.

    Of a standby's estimates nothing is said: its primary has the same bloat, and alone can mend it.
    """
    found = [(target, row) for target, row in rows if isinstance(row, Bloat) and (row.exact or _is_worth_saying(row))]
    found.sort(key=lambda one: (one[0], one[1].database, -one[1].bloat_bytes))
    return [_advice(target, row) for target, row in found]


def worth_it(bloat: Bloat) -> bool:
    """Whether it is much, of itself and of the whole."""
    return bloat.bloat_bytes >= WORTH_BYTES and bloat.ratio >= WORTH_RATIO


def _is_worth_saying(bloat: Bloat) -> bool:
    return worth_it(bloat) and not bloat.standby


def _advice(target: str, bloat: Bloat) -> Advice:
    action, reason = _judged(bloat)
    return Advice(
        target=target,
        database=bloat.database,
        subject=f"{bloat.schema}.{bloat.index or bloat.table}",
        action=action,
        reason=reason,
        values={
            "bloat": size_text(bloat.bloat_bytes),
            "size": size_text(bloat.size_bytes),
            "percent": f"{bloat.ratio * 100:.0f}",
            "left": size_text(bloat.size_bytes - bloat.bloat_bytes),
        },
        run=_run(bloat) if action == "rebuild" else "",
        gain_bytes=bloat.bloat_bytes,
    )


def _judged(bloat: Bloat) -> tuple[str, str]:
    """What is to be done, and the sentence that says why."""
    if not worth_it(bloat):
        return "keep", "bloat_little"
    if bloat.standby:
        return "check", "bloat_standby"
    kind = "index" if bloat.index else "table"
    return "rebuild", f"bloat_{kind}_exact" if bloat.exact else f"bloat_{kind}"


def _run(bloat: Bloat) -> str:
    schema = quote_identifier(bloat.schema)
    if bloat.index:
        return f"REINDEX INDEX CONCURRENTLY {schema}.{quote_identifier(bloat.index)};"
    return f"VACUUM (FULL, ANALYZE) {schema}.{quote_identifier(bloat.table)};"
