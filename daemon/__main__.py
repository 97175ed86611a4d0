"""`python -m daemon`: the same as `toban`."""

from daemon.cli import main

main()
