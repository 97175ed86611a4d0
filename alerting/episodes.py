"""What an episode is called: eight letters that a person can read out, type and shorten."""

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
LENGTH: Final = 8
_ALIKE = str.maketrans("ilo", "110")


def minted(random: Random, *, taken: Callable[[str], bool]) -> str:
    """A new one that is not in use."""
    while True:
        episode = "".join(random.choices(ALPHABET, k=LENGTH))
        if not taken(episode):
            return episode


def beginning(typed: str) -> str:
    """What somebody typed, as the beginning of an episode: letters that are mistaken for others put right."""
    return typed.strip().lower().translate(_ALIKE)


def matching(typed: str, episodes: Iterable[str]) -> list[str]:
    """The episodes that begin like this; one that is it, alone."""
    begins = beginning(typed)
    found = [episode for episode in episodes if begins and episode.startswith(begins)]
    return [begins] if begins in found else found
