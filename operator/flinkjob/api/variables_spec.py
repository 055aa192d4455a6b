"""Variables of a FlinkJob: names in its arguments and configuration for which values are put in.

Invariant: no value of a Secret is in a spec, only the name of the Secret.
"""

from typing import Annotated, Final

from pydantic import Field

from flinkjob.api.model import Rule, SpecModel, exactly_one
from flinkjob.api.references import NamedConfigMap, NamedSecret

MOST_VARIABLE_BYTES: Final = 256 * 1024
"""Of all values together, and of what they are put into."""


class VariablesSource(SpecModel):
    """A ConfigMap or Secret whose keys are names of variables, or those of the operator."""

    RULES = (
        exactly_one("spec.variablesFrom", "configMapRef", "secretRef", "operator"),
        Rule(
            "!has(self.operator) || self.operator",
            "spec.variablesFrom: operator can only be true",
            lambda source: source.operator is not False,
        ),
    )

    config_map_ref: Annotated[NamedConfigMap | None, Field(description="A ConfigMap.")] = None
    secret_ref: Annotated[
        NamedSecret | None, Field(description="A Secret with the annotation flinkjob.dev/use: variables.")
    ] = None
    operator: Annotated[
        bool | None,
        Field(
            description="The variables that the operator has for namespaces with the label "
            "flinkjob.dev/operator-variables: allowed."
        ),
    ] = None
    optional: Annotated[
        bool | None, Field(description="Whether it may be missing: then it has no variables. Defaults to false.")
    ] = None
    prefix: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] | None,
        Field(description="What is put before each of its keys to make the name."),
    ] = None
