"""`python -m fmnist`: the same as the command `fmnist`."""

import sys

from fmnist.cli import main

sys.exit(main())
