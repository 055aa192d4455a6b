"""The console script `flinkjob-ui`: says what to install where the package came without its extra `ui`."""

from __future__ import annotations

import sys


def main() -> None:
    """Serve the pages."""
    try:
        from flinkjob.ui.shared import run
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "rich", "starlette", "typer", "uvicorn", "yaml"):
            raise
        print("flinkjob-ui: not installed as a whole: pip install 'flinkjob-operator[ui]'", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
