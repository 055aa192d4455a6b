"""`python -m flinkjob` and `flinkjob-operator`: read the settings, run the operator.

Exit codes: 0 after SIGTERM or SIGINT, 1 when the API server cannot be used, 2 for wrong settings.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import flinkjob.lean  # noqa: F401  (before the libraries of which it leaves out parts)
from flinkjob.app import App
from flinkjob.core.errors import FlinkJobError
from flinkjob.net.buffers import small_tls_buffers
from flinkjob.net.resolver import ResolvingLoop
from flinkjob.observability.logging import configure
from flinkjob.settings import load


def main() -> None:
    """Run the operator until a signal ends it."""
    settings = load(sys.argv[1:])
    configure(settings.log_format, settings.log_level)
    small_tls_buffers()
    try:
        with asyncio.Runner(loop_factory=ResolvingLoop) as runner:
            runner.run(App(settings).run())
    except asyncio.CancelledError:
        logging.getLogger("flinkjob").info("stopped before it watched anything")
    except FlinkJobError as error:
        logging.getLogger("flinkjob").error("%s", error.message)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
