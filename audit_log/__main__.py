"""`python -m audit_log`: see `audit_log.cli`."""

import sys

from audit_log.cli.commands import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
