"""What an integration test says, under one name: places of work, their servers, and words for what is read and awaited."""

from deploy.local.controlplane import ControlPlane
from deploy.local.demojob import demo_jar as build_demo_jar
from deploy.local.fileserver import FileServer
from deploy.local.flink import FlinkCluster
from deploy.local.ports import free_port
from deploy.local.processes import ProcessFailed, wait_until
from deploy.local.records import check_exactly_once, committed_records, restores
from deploy.local.restdriver import RestDriver
from deploy.local.s3 import S3Server
from tests.support.kube import Kube, Object, Refused, condition, conditions, secret
from tests.support.lab import NO_CHECKPOINT, TERMINAL, Lab, submission
from tests.support.operator import USER, OperatorProcess, operator_kubeconfig
from tests.support.proxy import Fault, FlinkProxy
from tests.support.site import Site

__all__ = [
    "NO_CHECKPOINT",
    "TERMINAL",
    "USER",
    "ControlPlane",
    "Fault",
    "FileServer",
    "FlinkCluster",
    "FlinkProxy",
    "Kube",
    "Lab",
    "Object",
    "OperatorProcess",
    "ProcessFailed",
    "Refused",
    "RestDriver",
    "S3Server",
    "Site",
    "build_demo_jar",
    "check_exactly_once",
    "committed_records",
    "condition",
    "conditions",
    "free_port",
    "operator_kubeconfig",
    "restores",
    "secret",
    "submission",
    "wait_until",
]
