"""What is printed, and where: results to the standard output, progress and warnings to the standard error.

Invariants: colours only on a terminal and without NO_COLOR; no line that is printed holds a control character.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

import yaml
from rich.console import Console
from rich.text import Text

from flinkjob.cli.texts import BUSY, FAINT
from flinkjob.cli.yamlwords import quote_for_kubectl
from flinkjob.core.errors import visible

CLEAR = "\x1b[H\x1b[2J\x1b[3J"


class Output:
    """The two streams of a command."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = _console(out or sys.stdout)
        self._err = _console(err or sys.stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at the results as they come."""
        return self._out.is_terminal

    def lines(self, lines: Iterable[Text | str]) -> None:
        """Results."""
        for line in lines:
            _print(self._out, line)

    def screen(self, lines: Iterable[Text | str]) -> None:
        """Results in place of those before, on a terminal."""
        if self._out.is_terminal:
            self._out.file.write(CLEAR)
        self.lines(lines)
        self._out.file.flush()

    def raw(self, written: str) -> None:
        """A document that was made for machines."""
        self._out.file.write(written)
        self._out.file.flush()

    def progress(self, line: str) -> None:
        """What is waited for."""
        _print(self._err, Text(visible(line), FAINT))

    def report(self, lines: Iterable[Text]) -> None:
        """What a person reads beside the results."""
        for line in lines:
            _print(self._err, line)

    def failure(self, line: Text) -> None:
        """Why a command failed."""
        _print(self._err, line)

    def warning(self, line: str) -> None:
        """What a person should know before going on."""
        _print(self._err, Text(visible(f"Warning: {line}"), BUSY))


def _console(stream: TextIO) -> Console:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal that has no such characters still shows the rest
    styles: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True, color_system=styles)


def _print(console: Console, line: Text | str) -> None:
    made = line if isinstance(line, Text) else Text(visible(line))  # a Text leaves some of these out instead
    if not made.plain.isprintable():
        made = Text(visible(made.plain), made.style)
    console.print(made, soft_wrap=True)


def as_json(value: Any) -> str:
    """The value as JSON; no character of it is obeyed by a terminal."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f") + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and repeats values instead of naming them."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _represent_text)
quote_for_kubectl(_Dumper)


def as_yaml(*documents: Mapping[str, Any] | Sequence[Any]) -> str:
    """The values as YAML documents; no character of them is obeyed by a terminal."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=False)
