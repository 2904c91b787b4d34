"""`python -m aris.cli`: the same as `aris`."""

from aris.cli import main

main()
