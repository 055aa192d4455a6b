"""What SQL scripts and Python programs do on the simulated cluster, as the operator's runners in their jars would have it.

Used by: `submission.py`. Invariants: only the words below mean something, whatever is around them; what is wrong is said as
the runners and Flink say it.

SQL: `'rows-per-second' = '5'` is the rate, `GROUP BY page` names what the state is of, `FROM nosuch` is a table that does not
exist. Python: `rate = 5`, `key_by(page)`, and lines with `raise NAME(...)`, `sys.exit(...)` or `import nosuch`.
"""

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence

from tests.flinksim import javaerrors
from tests.flinksim.javaerrors import JavaError
from tests.flinksim.program import Program, SimJar, program

SQL = "dev.flinkjob.runner.SqlRunner"
PYTHON = "org.apache.flink.client.python.PythonDriver"
PYTHON_SECONDS = 1.0
"""How long Flink takes to begin with a Python program."""
_STATEMENTS = "flinkjob/sql/"
_SQL_RATE, _GROUP = re.compile(r"'rows-per-second' = '(\d+)'"), re.compile(r"GROUP BY (\w+)")
_PYTHON_RATE, _KEY = re.compile(r"^rate = (\d+)", re.MULTILINE), re.compile(r"key_by\((\w+)\)")
_RAISES = re.compile(r"raise (\w+)\((.*)\)")
_EXITS = re.compile(r"sys\.exit\((\d+)\)")

Holds = Callable[[str], bool]
"""Whether a file is where a path says on the JobManager."""


def made_of_statements(jar: SimJar, configuration: Mapping[str, str]) -> Program | JavaError:
    """The job that the SQL script in a jar becomes, or what is wrong with it."""
    with zipfile.ZipFile(io.BytesIO(jar.content)) as files:
        pieces = [
            files.read(name).decode().partition("\n")
            for name in sorted(files.namelist())
            if name.startswith(_STATEMENTS)
        ]
    for number, (head, _, text) in enumerate(pieces, 1):
        if "FROM nosuch" in text:
            said = "SQL validation failed. From line 1, column 6 to line 1, column 11: Object 'nosuch' not found"
            return javaerrors.script(f"statement {number} (line {head.split()[0]}): {said}")
    whole = "\n".join(text for _, _, text in pieces)
    if "INSERT INTO" not in whole:
        return javaerrors.script("there is no INSERT in the script: it would run no job")
    rate, group = _SQL_RATE.search(whole), _GROUP.search(whole)
    name = configuration.get("pipeline.name", "insert-into")
    return _job(rate and rate[1], group and group[1], ["--name", name])


def made_by_python(
    jar: SimJar, arguments: Sequence[str], configuration: Mapping[str, str], holds: Holds
) -> Program | JavaError:
    """The job that the Python program in a jar becomes, or what is wrong with it.

    Args:
        arguments: `-pym MODULE job:ID file:NAME`, then the program's own.
    """
    if not holds(configuration.get("python.files", "")):
        return javaerrors.python_ended(1)  # Python finds no module that runs the program
    beside = [configuration.get("python.requirements", ""), *configuration.get("python.archives", "").split(",")]
    for path in filter(None, (each.partition("#")[0] for each in beside)):
        if not holds(path):
            missing = ("java.io.FileNotFoundException", f"{path} does not exist")
            return javaerrors.error(*javaerrors.python("java", "job.py, line 1: ").causes, missing)
    name = arguments[3].removeprefix("file:")
    with zipfile.ZipFile(io.BytesIO(jar.content)) as files:
        text = files.read(name).decode()
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{name}, line {number}: "
        if "import nosuch" in line:
            return javaerrors.python("module", f"{place}ModuleNotFoundError: No module named 'nosuch'")
        if (exits := _EXITS.search(line)) is not None:
            return javaerrors.python("exit", f"{place}SystemExit: {exits[1]}")
        if (raises := _RAISES.search(line)) is not None:
            return javaerrors.python("threw", f"{place}{raises[1]}: {raises[2]}")
    rate, key = _PYTHON_RATE.search(text), _KEY.search(text)
    return _job(rate and rate[1], key and key[1], arguments[4:], seconds=PYTHON_SECONDS)


def _job(rate: str | None, state: str | None, more: Sequence[str], *, seconds: float = 0.0) -> Program:
    main = ["--main-ms", str(int(seconds * 1000))]
    return program(["--rate", rate or "100", "--uid", state or "count", *main, *more])
