"""`toban demo`: a throw-away PostgreSQL with some load, and the daemon on it and on its own state."""

from daemon.demo.staging import run_demo

__all__ = ["run_demo"]
