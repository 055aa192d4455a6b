"""A Python program that a FlinkJob runs, and its files. Models of `FlinkJob.spec.python`."""

import re
from typing import Annotated, Final

from pydantic import Field

from flinkjob.api.common import FileUri, ObjectName, Sha256
from flinkjob.api.model import Rule, SpecModel, exactly_one
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES
from flinkjob.api.references import NamedKey
from flinkjob.api.source_spec import SourceSpec, access_rules, sha256_with_uri

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
FILE_NAME: Final = re.compile(rf"{_NAME}(/{_NAME})*")
MOST_FILES: Final = 64
"""Of a program, those in archives not counted."""
FileName = Annotated[str, Field(min_length=1, max_length=256, pattern=rf"^{FILE_NAME.pattern}$")]
"""Where a file is among the files of a program."""
FileText = Annotated[str, Field(max_length=MOST_SCRIPT_BYTES)]


class NamedConfigMap(SpecModel):
    """A ConfigMap of the same namespace, all of it."""

    name: Annotated[ObjectName, Field(description="Its name.")]


class PythonFile(SourceSpec):
    """A file of the program, or several: those of a ConfigMap, or those in a zip archive or wheel."""

    RULES = (
        exactly_one("spec.python.files", "text", "configMapRef", "uri"),
        sha256_with_uri("spec.python.files"),
        Rule(
            "!has(self.text) || has(self.name)",
            "spec.python.files: a text needs a name",
            lambda file: file.text is None or file.name is not None,
        ),
        Rule(
            "!has(self.configMapRef) || !has(self.name)",
            "spec.python.files: the keys of a ConfigMap are the names of its files",
            lambda file: file.config_map_ref is None or file.name is None,
        ),
        *access_rules("spec.python.files"),
    )

    name: Annotated[
        FileName | None,
        Field(description="Where the file is put, such as job.py or shop/rules.py. Defaults to the last part of uri."),
    ] = None
    text: Annotated[FileText | None, Field(description="What is in it.")] = None
    config_map_ref: Annotated[
        NamedConfigMap | None,
        Field(
            description="The files are in a ConfigMap of the same namespace; its keys are their names. A change of them is a "
            "change of the spec, and is seen as that of a SQL script is."
        ),
    ] = None
    uri: Annotated[
        FileUri | None,
        Field(
            description="Where it is fetched from: https, http, s3, gs, az or file. What is in a file whose name ends "
            "with .zip or .whl is put beside the other files. TaskManagers import from a zip archive: modules of "
            "machine code do not belong here."
        ),
    ] = None
    sha256: Annotated[Sha256 | None, Field(description="The SHA-256 of what uri gives.")] = None


class PythonRequirements(SourceSpec):
    """Packages that functions need, in the notation of pip."""

    RULES = (
        exactly_one("spec.python.requirements", "text", "configMapKeyRef", "uri"),
        sha256_with_uri("spec.python.requirements"),
        *access_rules("spec.python.requirements"),
    )

    text: Annotated[FileText | None, Field(description="The lines of a requirements.txt.")] = None
    config_map_key_ref: Annotated[
        NamedKey | None, Field(description="They are in a ConfigMap of the same namespace, as the files may be.")
    ] = None
    uri: Annotated[FileUri | None, Field(description="Where they are fetched from, as files are.")] = None
    sha256: Annotated[Sha256 | None, Field(description="The SHA-256 of what uri gives.")] = None


class PythonArchive(SourceSpec):
    """A zip archive, unpacked for functions on the TaskManagers."""

    RULES = access_rules("spec.python.archives")

    uri: Annotated[FileUri, Field(description="Where it is fetched from, as files are.")]
    sha256: Annotated[Sha256, Field(description="The archive's SHA-256 in lower-case hexadecimal.")]
    name: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, pattern=rf"^{_NAME}$")],
        Field(description="The directory that it is unpacked to, in the working directory of functions."),
    ]


def _text_bytes(python: "PythonSpec") -> int:
    texts = [*(file.text for file in python.files), python.requirements.text if python.requirements else None]
    return sum(len(text.encode()) for text in texts if text)


class PythonSpec(SpecModel):
    """A PyFlink program."""

    RULES = (
        exactly_one("spec.python", "file", "module"),
        Rule(
            "!has(self.file) || (has(self.files) && size(self.files) > 0)",
            "spec.python.file: one of spec.python.files",
            lambda python: python.file is None or bool(python.files),
        ),
        Rule(
            "(has(self.files) ? self.files.map(file, has(file.text) ? size(bytes(file.text)) : 0).sum() : 0) + "
            "(has(self.requirements) && has(self.requirements.text) ? size(bytes(self.requirements.text)) : 0) "
            f"<= {MOST_SCRIPT_BYTES}",
            f"spec.python: at most {MOST_SCRIPT_BYTES} bytes of text together",
            lambda python: _text_bytes(python) <= MOST_SCRIPT_BYTES,
        ),
    )

    file: Annotated[FileName | None, Field(description="The file that is run, by its name among the files below.")] = (
        None
    )
    module: Annotated[
        Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")] | None,
        Field(description="The module that is run as `python -m` does: of the files below, or of the cluster's image."),
    ] = None
    files: Annotated[
        tuple[PythonFile, ...],
        Field(
            max_length=MOST_FILES,
            description="The program, and the modules and files that it needs, side by side. Two of one name are refused; of "
            "a path that several archives have, the first one's counts. main() finds them in its working directory, and "
            "functions import modules from them.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    requirements: Annotated[
        PythonRequirements | None,
        Field(
            description="Packages that functions need. TaskManagers install them with pip when the job starts, so each run "
            "may get other versions of what is not pinned. main() runs on the JobManager and does not see them."
        ),
    ] = None
    archives: Annotated[
        tuple[PythonArchive, ...],
        Field(
            max_length=8,
            description="Zip archives with what functions need, such as data or a virtual environment; main() does not see "
            "them.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    executable: Annotated[
        Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f]+$")] | None,
        Field(
            description="The Python of JobManager and TaskManagers, such as /opt/venv/bin/python; it has PyFlink of the "
            "cluster's version. Defaults to the cluster's `python.client.executable` and `python.executable`, or to `python`."
        ),
    ] = None
