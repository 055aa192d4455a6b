"""Splits a Flink SQL script into its statements, by Flink's own lexical rules; what they mean is left to Flink's parser.

Pure. A statement ends at a `;` outside of strings, quoted names, comments and `STATEMENT SET BEGIN … END`. Invariants: each
statement is a piece of the script and knows where it begins; a script is read once from front to back, whatever it has.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

MOST_CHARACTERS: Final = 128 * 1024
"""Of a script."""
MOST_STATEMENTS: Final = 2000
"""Of a job: Flink parses each."""

# The first alternative that fits is taken; no quantifier gives back what it took, so that the time is linear.
_TOKEN = re.compile(
    r"""
    (?P<blank>(?>\s+)|(?>(?:--|//)[^\r\n]*)|/\*(?!\+)(?>(?:[^*]|\*(?!/))*)\*/)
  | (?P<open_comment>/\*(?!\+))
  | (?P<quoted>\b[eE]'(?>(?:[^'\\]|\\.|'')*)'|'(?>(?:[^']|'')*)'|`(?>(?:[^`]|``)*)`)
  | (?P<open_quote>['`])
  | (?P<word>(?>[^\W\d][\w$]*))
  | (?P<number>(?>\d\w*))
  | (?P<end>;)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Flink reads a SET before its lexer does: a value without quotes has no comments and no strings in it.
_SET = re.compile(
    r"(?P<set>SET(?>\s+)(?!--|//|/\*)(?>[^';=\s]+)(?>\s*)=(?>\s*)(?!')(?>[^;\s]+))", re.IGNORECASE | re.ASCII
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_BEGIN = ("BEGIN", "STATEMENT", "SET")


class ScriptError(ValueError):
    """A script that cannot be split.

    Attributes:
        line: where, from 1 on.
        message: why.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon, and without what is around it; line and column of its begin, from 1 on."""

    text: str
    line: int
    column: int


def split(script: str) -> list[Statement]:
    """The statements of a script, in order.

    Raises:
        ScriptError: it is too long, or has an unclosed quote, comment or `BEGIN`, or too many statements.
    """
    if len(script) > MOST_CHARACTERS:
        raise ScriptError(1, f"the script has more than {MOST_CHARACTERS} characters")
    splitter = _Splitter(script.replace("\ufeff", " ", 1) if script.startswith("\ufeff") else script)
    at = 0
    while (match := splitter.token(at)) is not None:
        splitter.take(match)
        at = match.end()
    return splitter.end()


class _Splitter:
    """What is known of a script so far: the statement that is being read, and how deep it is in blocks."""

    def __init__(self, script: str) -> None:
        self.script = script
        self._lines = [0, *(match.end() for match in _LINE_END.finditer(script))]
        self._found: list[Statement] = []
        self._begin: int | None = None
        self._end = 0
        self._first: list[str] = []  # the first words of the statement, as many as `_BEGIN` has, and one more
        self._last: tuple[str, str] = ("", "")  # its last two words or signs
        self._depth = 0  # in STATEMENT SET BEGIN … END, and CASE … END in it
        self._block = 0  # where the block began
        self._set: int | None = None  # where BEGIN STATEMENT SET is, as long as END has not come

    def token(self, at: int) -> re.Match[str] | None:
        """The token that begins there; None at the end of the script."""
        unquoted = _SET.match(self.script, at) if self._begin is None else None
        return unquoted or _TOKEN.match(self.script, at)

    def take(self, match: re.Match[str]) -> None:
        """The next token."""
        kind, at = match.lastgroup, match.start()
        if kind == "blank":
            return
        if kind == "open_comment":
            raise self._error(at, "a comment is not closed")
        if kind == "open_quote":
            raise self._error(at, f"a {match.group()} is not closed")
        if kind == "end" and not self._depth:
            self._finish()
            return
        if self._begin is None:
            self._begin = at
        self._end = match.end()
        text = match.group().upper() if kind == "word" else f"{kind}"
        if kind == "word":
            self._block_word(text, at)
        self._last = (self._last[1], text)
        if len(self._first) <= len(_BEGIN):
            self._first.append(text)

    def _block_word(self, word: str, at: int) -> None:
        if self._depth:
            self._depth += {"CASE": 1, "END": -1}.get(word, 0)
        elif word == "BEGIN" and self._last == _BEGIN[1:]:
            self._depth, self._block = 1, at

    def _finish(self) -> None:
        """The statement that is being read ends here, if there is one."""
        if self._begin is None:
            return
        if tuple(self._first) == _BEGIN:
            self._set = self._begin
        elif self._first == ["END"]:
            self._set = None
        if len(self._found) == MOST_STATEMENTS:
            raise self._error(self._begin, f"there are more than {MOST_STATEMENTS} statements")
        line, column = self._place(self._begin)
        self._found.append(Statement(self.script[self._begin : self._end], line, column))
        self._begin, self._first, self._last = None, [], ("", "")

    def end(self) -> list[Statement]:
        """All statements, at the end of the script."""
        if self._depth:
            raise self._error(self._block, "a BEGIN has no END")
        self._finish()
        if self._set is not None:
            raise self._error(self._set, "a BEGIN STATEMENT SET has no END")
        return self._found

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _error(self, at: int, message: str) -> ScriptError:
        return ScriptError(self._place(at)[0], message)
