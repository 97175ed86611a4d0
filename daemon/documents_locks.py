"""What `toban locks --json` prints and `/api/v1/locks` answers: a flat list of nodes, in the order of drawing."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from collectors.postgresql.sql import quote_literal
from daemon.documents import Document
from toban.locks import LockNode, LockSession, lock_forest

REPLAY = "startup"  # what PostgreSQL calls the process that replays WAL


def lock_documents(rows: Iterable[tuple[str, LockSession]]) -> list[Document]:
    """The trees of each target, one behind the other; a parent stands before its children."""
    by_target = groupby(sorted(rows, key=itemgetter(0)), key=itemgetter(0))
    return [
        _node(target, node, {session.key: session for session in sessions})
        for target, group in by_target
        for sessions in [[session for _, session in group]]
        for node in lock_forest(sessions)
    ]


def _node(target: str, node: LockNode, known: dict[str, LockSession]) -> Document:
    session = node.session
    return {
        "target": target,
        "pid": session.pid,
        "prepared": session.prepared or None,
        "blocked_by": [known[key].pid for key in session.blocked_by if key in known],
        "blocked_by_prepared": [
            known[key].prepared for key in session.blocked_by if key in known and known[key].prepared
        ],
        "root": node.root,
        "roots": [known[key].pid for key in node.roots],
        "parent": known[node.parent].pid if node.parent else None,
        "depth": node.depth,
        "cycle": node.cycle,
        "victims": node.victims,
        "database": session.database,
        "user": session.user,
        "application": session.application,
        "state": session.state,
        "wait_event": session.wait_event,
        "wait_seconds": session.wait_seconds,
        "transaction_seconds": session.transaction_seconds,
        "lock": session.lock_mode,
        "lock_type": session.lock_type,
        "relation": session.relation,
        "query": session.query,
        "run": _run(session) if node.root else "",
    }


def _run(session: LockSession) -> str:
    """What ends it, if anything does: a standby's replay cannot be told to. For people: Toban never runs it."""
    if session.application == REPLAY and not session.user:
        return ""
    if session.prepared:
        return f"ROLLBACK PREPARED {quote_literal(session.prepared)};"
    return f"SELECT pg_terminate_backend({session.pid});"
