"""`python -m fakel`."""

import sys

from fakel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
