"""`python -m graphgrad`, the command line."""

import sys

from graphgrad.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
