"""Jars of the simulated cluster: upload, list, delete, run, plan.

Used by: `rest.py`.
"""

from collections.abc import Mapping

from tests.flinksim import javaerrors
from tests.flinksim.answers import milliseconds
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.reply import Reply, Response
from tests.flinksim.request import Request, Route
from tests.flinksim.submission import Submission


def _refused(message: str) -> Response:
    return Response(400, javaerrors.told(javaerrors.error((javaerrors.REST, message))))


def _upload(sim: FlinkSim, request: Request, _: Mapping[str, str]) -> Response:
    files = request.files()
    if len(files) != 1:
        return _refused(f"Exactly 1 file must be sent, received {len(files)}.")
    name = files[0][0].replace("\\", "/").rsplit("/", 1)[-1]
    if not name.endswith(".jar"):
        return _refused("Only Jar files are allowed.")
    jar_id = sim.add_jar(files[0][1], name)
    return Response(200, {"filename": f"{sim.upload_place}/{jar_id}", "status": "success"})


def _list(sim: FlinkSim, _: Request, __: Mapping[str, str]) -> Response:
    files = []
    for jar in sorted(sim.jars.values(), key=lambda each: -each.uploaded):
        named = jar.manifest_class
        entry = [{"name": named, "description": None}] if named else []
        files.append({"id": jar.id, "name": jar.name, "uploaded": milliseconds(jar.uploaded), "entry": entry})
    return Response(200, {"address": "http://localhost", "files": files})


def _delete(sim: FlinkSim, _: Request, at: Mapping[str, str]) -> Response:
    if sim.jars.pop(at["jar"], None) is None:
        return _refused(f"File {at['jar']} does not exist in {sim.upload_place}.")
    return Response(200, {})


def _run(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Reply:
    return Submission(sim, at["jar"], request.body).start()


def _plan(sim: FlinkSim, request: Request, at: Mapping[str, str]) -> Reply:
    return Submission(sim, at["jar"], request.body, plan=True).start()


def jar_routes() -> tuple[Route, ...]:
    """The routes."""
    return (
        ("POST", "/jars/upload", _upload),
        ("GET", "/jars", _list),
        ("DELETE", "/jars/(?P<jar>[^/]+)", _delete),
        ("POST", "/jars/(?P<jar>[^/]+)/run", _run),
        ("POST", "/jars/(?P<jar>[^/]+)/plan", _plan),
    )
