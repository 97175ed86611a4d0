"""The words everyone uses: samples, outcomes, configuration types, errors, clock, secrets. No I/O."""

__version__ = "0.1.0"
