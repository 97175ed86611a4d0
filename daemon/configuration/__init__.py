"""The configuration: read with its line numbers, merged, validated, and every mistake said at once in plain words."""

from daemon.configuration.loading import Loaded, load
from daemon.configuration.problems import Problem, Problems

__all__ = ["Loaded", "Problem", "Problems", "load"]
