"""How a SQL script is split into statements."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.core.sqlscript import MOST_CHARACTERS, MOST_STATEMENTS, ScriptError, Statement, split


def texts(script: str) -> list[str]:
    return [statement.text for statement in split(script)]


SET_WITH_CASE = (
    "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE x WHEN 1 THEN 'END;' ELSE CASE WHEN y THEN 2 END END FROM b; "
    "INSERT INTO c SELECT 1; END"
)


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" \n-- nothing\n/* ; */ ;;\t;", []),
        ("a;b;", ["a", "b"]),
        ("a;b", ["a", "b"]),
        ("a\r\n;\r\nb", ["a", "b"]),
        ("-- x;\na -- y;\n;\n/* ; */;", ["a"]),
        ("a /* ; \n*/ b; c", ["a /* ; \n*/ b", "c"]),
        ("a /**/ b /***/ c", ["a /**/ b /***/ c"]),
        ("SELECT 'a;''b;' FROM `x;``y`; b", ["SELECT 'a;''b;' FROM `x;``y`", "b"]),
        ("SELECT '-- no comment; /*'; b", ["SELECT '-- no comment; /*'", "b"]),
        ("SELECT /*+ X('a;b') */ 1; b", ["SELECT /*+ X('a;b') */ 1", "b"]),
        (r"SELECT E'it\'s;', e'\\'; b", [r"SELECT E'it\'s;', e'\\'", "b"]),
        (r"SELECT '\'; b", [r"SELECT '\'", "b"]),
        (r"SELECT fooE'\'; b", [r"SELECT fooE'\'", "b"]),
        (f"{SET_WITH_CASE}; SELECT 1", [SET_WITH_CASE, "SELECT 1"]),
        ("execute statement /* x */ set\nbegin a; b; end;", ["execute statement /* x */ set\nbegin a; b; end"]),
        (
            "COMPILE PLAN 'x' FOR STATEMENT SET BEGIN a; END; c",
            ["COMPILE PLAN 'x' FOR STATEMENT SET BEGIN a; END", "c"],
        ),
        ("BEGIN STATEMENT SET; a; END; b", ["BEGIN STATEMENT SET", "a", "END", "b"]),
        (
            "STATEMENT SET BEGIN a AS `end`; b12END; 3END; END; c",
            ["STATEMENT SET BEGIN a AS `end`; b12END; 3END; END", "c"],
        ),
        ("SELECT CASE WHEN a THEN b END; c", ["SELECT CASE WHEN a THEN b END", "c"]),
        ("\ufeffa;b", ["a", "b"]),
        ("// don't\nINSERT x", ["INSERT x"]),
        ("INSERT INTO a SELECT 1; // done; really\nINSERT y", ["INSERT INTO a SELECT 1", "INSERT y"]),
        ("a //; '\r\n / b; SELECT 'http://x;'", ["a //; '\r\n / b", "SELECT 'http://x;'"]),
        ("SET execution.checkpointing.dir = s3://b/d; a", ["SET execution.checkpointing.dir = s3://b/d", "a"]),
        (
            "set x=a--b; SET y = /tmp/*; // c\nSET z\n=\n//nas/`d; a",
            ["set x=a--b", "SET y = /tmp/*", "SET z\n=\n//nas/`d", "a"],
        ),
        ("SET x = it's -- don't\n; /* b */ SET y = /*c", ["SET x = it's", "SET y = /*c"]),
        ("SET 'x' = 's3://b;/d--e'; SET y = '//;'; a", ["SET 'x' = 's3://b;/d--e'", "SET y = '//;'", "a"]),
        ("SET 'x' = // don't\n'y'; SET /*a=b;*/ 'x' = 'y'", ["SET 'x' = // don't\n'y'", "SET /*a=b;*/ 'x' = 'y'"]),
        ("SET; SET // a = b;\n; UPDATE t SET x = 1--b;\n;", ["SET", "SET", "UPDATE t SET x = 1"]),
        ('SELECT "a;b"', ['SELECT "a', 'b"']),
    ],
)
def test_statements(script: str, statements: list[str]) -> None:
    assert texts(script) == statements


@pytest.mark.parametrize(
    ("script", "line", "message"),
    [
        ("a;\nb 'c;\n", 2, "a ' is not closed"),
        ("a;\n\nb `c;", 3, "a ` is not closed"),
        ("a;\r\n/* b", 2, "a comment is not closed"),
        ("a;\nEXECUTE STATEMENT SET\nBEGIN b; CASE WHEN c THEN d END;", 3, "a BEGIN has no END"),
        ("BEGIN STATEMENT SET;\nINSERT INTO a SELECT 1;", 1, "a BEGIN STATEMENT SET has no END"),
        ("x" * (MOST_CHARACTERS + 1), 1, f"the script has more than {MOST_CHARACTERS} characters"),
        ("a;\n" * (MOST_STATEMENTS + 1), MOST_STATEMENTS + 1, f"there are more than {MOST_STATEMENTS} statements"),
    ],
)
def test_what_cannot_be_split_says_where(script: str, line: int, message: str) -> None:
    with pytest.raises(ScriptError) as raised:
        split(script)
    assert (raised.value.line, raised.value.message) == (line, message)


def test_places() -> None:
    assert split("a;\n\n   INSERT\n x; b\r\nc;\rd") == [
        Statement("a", 1, 1),
        Statement("INSERT\n x", 3, 4),
        Statement("b\r\nc", 4, 5),
        Statement("d", 6, 1),
    ]


_PIECES = st.sampled_from(
    [
        "a",
        "'x;''y'",
        "`n;`",
        "/*+ h('1') */",
        "E'\\';'",
        "1.5E3",
        "CASE WHEN a THEN b END",
        "<>",
        "(",
        "--c;\n",
        "// c';\n",
        "/*;*/",
    ]
)
_STATEMENT = st.lists(_PIECES, min_size=1).map(lambda pieces: " ".join(["INSERT", *pieces, "z"]))
_BLOCK = st.lists(_STATEMENT, min_size=1).map(lambda inner: f"EXECUTE STATEMENT SET BEGIN {'; '.join(inner)}; END")


@given(st.lists(st.one_of(_STATEMENT, _BLOCK)))
def test_what_was_joined_is_split_again(statements: list[str]) -> None:
    assert texts(";\n -- between; them\n".join(statements)) == statements


@given(st.text(alphabet=st.sampled_from("ab;'`-/*+E\\\n\r (BEGINSTATEMENT="), max_size=300))
def test_each_statement_is_the_piece_of_the_script_that_it_says(script: str) -> None:
    found = list[Statement]()
    with contextlib.suppress(ScriptError):
        found = split(script)
    lines = script.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    after = 0
    for statement in found:
        assert lines[statement.line - 1][statement.column - 1 :].startswith(statement.text.splitlines()[0])
        after = script.index(statement.text, after) + len(statement.text)
        assert not statement.text.startswith((";", " ", "--", "//"))


@pytest.mark.parametrize(
    "piece",
    [
        "a;\n ",
        "'a''",
        "'",
        "`",
        "/*",
        "/* * /",
        "/*+",
        "--",
        "E'\\'",
        "((",
        "x9$",
        "STATEMENT SET BEGIN ",
        "//",
        "SET x ",
        "SET x = a;",
        "SET x=",
        "SET ",
    ],
)
def test_no_script_takes_long(piece: str) -> None:
    script = (piece * MOST_CHARACTERS)[:MOST_CHARACTERS]
    begun = time.process_time()
    with contextlib.suppress(ScriptError):
        split(script)
    assert time.process_time() - begun < 5  # some hundredths in truth; a square of it would take many minutes
