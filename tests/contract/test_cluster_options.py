"""The list of the options that act only in a cluster's own configuration is that of Flink's classes, in each version."""

import pytest

from deploy.local import flinkoptions
from deploy.local.flinkdist import DEFAULT_VERSION, DIGESTS
from flinkjob.api import flink_options
from flinkjob.api.cluster_options import acts_only_in_cluster

_OTHERS = pytest.mark.everything("the options of Flink in other versions")
VERSIONS = [
    version if version in (DEFAULT_VERSION, min(DIGESTS)) else pytest.param(version, marks=_OTHERS)
    for version in DIGESTS
]
SENT = (
    flink_options.JOB_NAME,
    flink_options.GLOBAL_PARAMETERS,
    flink_options.CHECKPOINT_INTERVAL,
    flink_options.CHECKPOINT_MODE,
    *flink_options.CHECKPOINT_DIRECTORY,
    flink_options.CHECKPOINT_RETENTION,
)


@pytest.mark.report("options-without-effect")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_of_a_cluster_is_known_and_none_of_a_job(version: str) -> None:
    declared = flinkoptions.declared(version)
    unsorted = set(declared) - flinkoptions.CLUSTER - set(flinkoptions.MIXED) - flinkoptions.JOBS
    assert not unsorted, f"say in deploy/local/flinkoptions.py whose options these are: {unsorted}"
    of_clusters = flinkoptions.of_clusters(version)
    assert len(of_clusters) > 350
    assert not {option for option in of_clusters if not acts_only_in_cluster(option)}
    of_jobs = set().union(*(declared[owner] for owner in flinkoptions.JOBS & set(declared)))
    assert len(of_jobs) > 150
    assert not {option for option in of_jobs if acts_only_in_cluster(option)}


@pytest.mark.everything("the list of options, made anew from all versions")
def test_the_list_is_up_to_date() -> None:
    assert flinkoptions.TARGET.read_text() == flinkoptions.generated(), "run python -m deploy.local.flinkoptions"


@pytest.mark.parametrize("option", SENT)
def test_what_the_operator_sends_acts_in_a_job(option: str) -> None:
    assert not acts_only_in_cluster(option)
