"""The commands of `kubectl flinkjob` and how they end: one line for an error, and an exit code of `errors`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.text import Text

from flinkjob.cli import acting, checking, reading
from flinkjob.cli.completing import candidates, names_of
from flinkjob.cli.errors import Code, CommandFailed
from flinkjob.cli.output import Output
from flinkjob.cli.query import query
from flinkjob.cli.session import Command, on_cluster
from flinkjob.cli.texts import BAD, text
from flinkjob.core.errors import FlinkJobError

PROGRAM = "kubectl flinkjob"
INTERRUPTED = 130
COMPLETE = "__complete"

ON_CLUSTER: dict[str, Command] = {
    "get": reading.get,
    "status": reading.status,
    "history": reading.show_history,
    "diff": reading.diff,
    "exceptions": reading.exceptions,
    "events": reading.events,
    "savepoint": acting.savepoint,
    "stop": acting.stop,
    "suspend": acting.suspend,
    "resume": acting.resume,
    "restart": acting.restart,
    "rescale": acting.rescale,
    "cancel": acting.cancel,
    "rollback": acting.rollback,
    "adopt": acting.adopt,
    "query": query,
}
COMMANDS = {name: on_cluster(command) for name, command in ON_CLUSTER.items()} | checking.COMMANDS


def program(more: Mapping[str, Command] | None = None) -> typer.Typer:
    """The program; `more` are commands on a cluster that other packages bring."""
    app = typer.Typer(
        name=PROGRAM,
        help="Look at FlinkJobs, act on them, and move jobs of other operators to them.",
        epilog="Exit codes: 0 done, 1 refused or failed, 2 called wrongly, 3 not reached within --timeout.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    others = {name: on_cluster(command) for name, command in (more or {}).items()}
    for name, command in (COMMANDS | others).items():
        app.command(name)(command)
    return app


def run(arguments: Sequence[str], more: Mapping[str, Command] | None = None) -> int:
    """Run a command; returns its exit code. `more`: see `program`."""
    app = program(more)
    described = _described(app)
    if arguments[:1] == [COMPLETE]:
        Output().raw("\n".join(candidates(arguments[1:], described, names_of)) + "\n")
        return Code.DONE
    try:
        result = app(args=list(arguments) or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        where = " ".join((PROGRAM, *arguments[:1])) if arguments[:1] and arguments[0] in described else PROGRAM
        return _say(f"{error.format_message()} See {where} --help", Code.USAGE)
    except CommandFailed as error:
        return _say(error.message, error.code)
    except FlinkJobError as error:
        return _say(error.message, Code.FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing reads on: Python need not say so
        return Code.DONE
    return int(result or Code.DONE)


def _described(app: typer.Typer) -> dict[str, tuple[str, dict[str, str]]]:
    """Each command with what it does and its options."""
    found: Any = typer.main.get_command(app)
    return {
        name: (
            command.get_short_help_str(),
            {
                f"{option}{'' if getattr(each, 'is_flag', False) else '='}": getattr(each, "help", "") or ""
                for each in command.params
                for option in each.opts
                if option.startswith("-")
            },
        )
        for name, command in found.commands.items()
    }


def _say(message: str, code: Code) -> int:
    Output().failure(Text("Error: ", BAD).append_text(text(message)))
    return code
