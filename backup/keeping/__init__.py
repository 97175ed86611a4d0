"""Keeping, in pieces: what is planned, when it is due, whether there is room, how it is done, what is told of it."""
