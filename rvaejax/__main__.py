"""`python -m rvaejax` is the command line."""

from rvaejax.cli import main

main()
