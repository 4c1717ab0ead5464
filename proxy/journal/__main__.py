"""`python -m proxy.journal`; the command itself is `proxy.delivery.journal_command`."""

import sys

from proxy.delivery.journal_command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
