"""The owner of all that is open: what verdicts, people and the time make of alerts, kept first and then told."""

from alerting.desk.desk import Desk
from alerting.desk.drill import Rung, drilled
from alerting.desk.surroundings import Book, Dispatcher, Surroundings

__all__ = ["Book", "Desk", "Dispatcher", "Rung", "Surroundings", "drilled"]
