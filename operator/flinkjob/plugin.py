"""The console script `kubectl-flinkjob`: the commands of `cli` and `ui` together.

It says what to install where the package came without its extra `cli`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from flinkjob.cli.main import run
        from flinkjob.ui.command import ui
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "yaml"):
            raise
        print("kubectl-flinkjob: not installed as a whole: pip install 'flinkjob-operator[cli]'", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(run(sys.argv[1:], {"ui": ui}))


if __name__ == "__main__":
    main()
