"""The addresses: what each answers, and what it reads for that.

Invariant: an answer to GET changes nothing; a change needs the token, and what only a form of a page of this server has.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import httpx
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from flinkjob.api.codec import parse_job, parse_savepoint
from flinkjob.cli.flinkview import look
from flinkjob.cli.output import Output
from flinkjob.cli.session import Session, now
from flinkjob.cli.statusview import Seen
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.errors import Forbidden
from flinkjob.ui import savepointview
from flinkjob.ui.actions import ACTIONS, act, named
from flinkjob.ui.fleetview import Wanted, fleet
from flinkjob.ui.guard import FIELD, HEADER, MOST_BODY, Gate, Guard, allowed
from flinkjob.ui.jobview import job_page
from flinkjob.ui.objects import Objects

PAUSE_SECONDS: Final = 2.0
"""So soon a page that is open hears of a change."""
KEEP_ALIVE: Final = 15.0
"""Seconds after which a stream says something in any case."""
Direct = Callable[[], httpx.AsyncClient]


class Pages:
    """The answers of a server."""

    def __init__(self, objects: Objects, gate: Gate, direct: Direct | None) -> None:
        self._objects = objects
        self._gate = gate
        self._direct = direct
        self._templates = Environment(
            loader=PackageLoader("flinkjob.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    async def fleet(self, request: Request) -> Response:
        """All FlinkJobs."""
        wanted = Wanted.of(request.query_params)
        found = await self._objects.jobs()
        return self._page(request, "fleet.html", fleet=fleet(found, wanted, now()), wanted=wanted)

    async def job(self, request: Request) -> Response:
        """One FlinkJob."""
        namespace, name = self._key(request)
        session, err = self._session(namespace)
        obj = await session.job(name)
        job = parse_job(obj)
        run = job.status.submission
        flink, savepoints, events = await asyncio.gather(
            look(self._objects.kube, *((run.address, run.flink_job_id) if run is not None else ("", "")), self._direct),
            session.savepoints(name),
            session.events(name),
        )
        kept = [parse_savepoint(each) for each in savepoints]
        page = job_page(Seen(job=job, savepoints=kept, events=events, flink=flink, now=now()), obj)
        return self._page(request, "job.html", job=page, actions=ACTIONS, warnings=err.getvalue().splitlines())

    async def savepoints(self, request: Request) -> Response:
        """All FlinkSavepoints."""
        try:
            found = await self._objects.savepoints()
        except Forbidden as denied:
            return self._failure(request, denied.message, HTTPStatus.FORBIDDEN, again=True)
        jobs = await self._objects.jobs()
        rows = savepointview.catalogue(found, jobs, now())
        pages = max(-(-len(rows) // savepointview.PAGE), 1)
        page = min(Wanted.of(request.query_params).page, pages)
        shown = rows[(page - 1) * savepointview.PAGE : page * savepointview.PAGE]
        return self._page(request, "savepoints.html", rows=shown, page=page, pages=pages, total=len(rows))

    async def confirm(self, request: Request) -> Response:
        """What an action would do, checked by the API server; nothing is stored."""
        return await self._act(request, dry_run=True)

    async def act(self, request: Request) -> Response:
        """An action."""
        return await self._act(request, dry_run=False)

    async def changes(self, request: Request) -> Response:
        """A stream that says when any object has changed, or what belongs to the FlinkJob that the query names."""
        at_once = {"x-accel-buffering": "no"}  # a proxy in between must not wait for more
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=at_once)

    async def healthy(self, _: Request) -> Response:
        """That the server answers."""
        return PlainTextResponse("ok")

    async def failed(self, request: Request, error: Exception) -> Response:
        """The page of what could not be read."""
        message = error.message if isinstance(error, FlinkJobError) else "not found"
        return self._failure(request, message, HTTPStatus.BAD_GATEWAY, again=request.method == "GET")

    async def missing(self, request: Request, _: Exception) -> Response:
        """The page of an address that there is not."""
        return self._failure(request, "there is no such page", HTTPStatus.NOT_FOUND)

    async def _act(self, request: Request, *, dry_run: bool) -> Response:
        form = await _form(request)
        if not allowed(self._gate, form.get(FIELD) or request.headers.get(HEADER, "")):
            return self._failure(request, "the form is not of this server: load the page again", HTTPStatus.FORBIDDEN)
        namespace, name = self._key(request)
        action = named(request.path_params["action"])
        if action is None:
            return self._failure(request, "there is no such action", HTTPStatus.NOT_FOUND)
        number = form.get("number", "")
        said = await act(self._objects.kube, namespace, name, action, number, dry_run=dry_run)
        return self._page(
            request,
            "confirm.html",
            action=action,
            said=said,
            number=number,
            dry_run=dry_run,
            namespace=namespace,
            name=name,
        )

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        shown = request.query_params
        of = (shown["namespace"], shown["name"]) if {"namespace", "name"} <= shown.keys() else None
        known, silent = await self._objects.version(of), 0.0
        yield f"retry: 3000\n{_said(known)}"
        while not await request.is_disconnected():
            await asyncio.sleep(PAUSE_SECONDS)
            newest = await self._objects.version(of)
            silent += PAUSE_SECONDS
            if newest != known:
                lasting = newest and known
                known, silent = newest, 0.0
                yield f"event: changed\ndata: {known}\n\n" if lasting else _said(known)
            elif silent >= KEEP_ALIVE:
                silent = 0.0
                yield ": still here\n\n"

    def _key(self, request: Request) -> tuple[str, str]:
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        if not self._objects.covers(namespace):
            raise FlinkJobError(f"only namespace {', '.join(self._objects.namespaces)} is shown here")
        return namespace, name

    def _session(self, namespace: str) -> tuple[Session, io.StringIO]:
        err = io.StringIO()
        return Session(kube=self._objects.kube, output=Output(io.StringIO(), err), namespace=namespace), err

    def _failure(self, request: Request, message: str, status: HTTPStatus, *, again: bool = False) -> Response:
        """The page of what is not shown; with `again` it looks whether it can be by now, when something changes."""
        return self._page(request, "failure.html", status=status, message=message, again=again)

    def _page(self, request: Request, template: str, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        given = {
            "csrf": self._gate.csrf,
            "read_only": self._gate.read_only,
            "namespace_shown": ", ".join(self._objects.namespaces) or "all namespaces",
            "path": request.url.path,
            "query": request.url.query,
        }
        written = self._templates.get_template(template).render(given | values)
        return HTMLResponse(written, status)


def application(objects: Objects, gate: Gate, direct: Direct | None = None) -> Starlette:
    """The application, as a server runs it.

    Args:
        direct: makes the client for Flink of a server that connects without the API server; None: as the command line does.
    """
    pages = Pages(objects, gate, direct)
    files = StaticFiles(directory=Path(__file__).parent / "static")
    one = "/jobs/{namespace:str}/{name:str}"
    return Starlette(
        routes=[
            Route("/", pages.fleet),
            Route("/savepoints", pages.savepoints),
            Route(one, pages.job),
            Route(one + "/{action:str}/confirm", pages.confirm, methods=["POST"]),
            Route(one + "/{action:str}", pages.act, methods=["POST"]),
            Route("/changes", pages.changes),
            Route("/healthz", pages.healthy),
            Mount("/static", files),
        ],
        middleware=[Middleware(partial(Guard, gate=gate))],
        exception_handlers={FlinkJobError: pages.failed, HTTPStatus.NOT_FOUND: pages.missing},
    )


def _said(version: str) -> str:
    """The event that the objects can be read, or that they cannot; a browser drops one without data."""
    return f"event: ready\ndata: {version}\n\n" if version else "event: lost\ndata: -\n\n"


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; none of one that is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            return {}
    try:
        fields = parse_qs(body.decode(), max_num_fields=16)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
