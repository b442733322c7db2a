"""`python -m app.cli` is `task-progress`."""

import sys

from app.cli import main

sys.exit(main())
