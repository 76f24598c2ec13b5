"""`python -m hotstart` is `hotstart`."""

from hotstart.cli import main

main()
