"""A service that may open few files: `python -m tests.neighbours.few_files 200 proxy`."""

import os
import resource
import sys


def main() -> None:
    """Lower the soft and the hard limit, and become the module."""
    files, module = int(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.execv(sys.executable, [sys.executable, "-m", module])


if __name__ == "__main__":
    main()
