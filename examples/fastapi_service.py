"""A FastAPI service that enqueues in a route, works in its lifespan, and tells how a job is getting on.

    python examples/fastapi_service.py [--url sqlite:///queue.db] [--port 8000] [--seconds 5]
    curl -d '{"text": "to be or not to be"}' -H 'content-type: application/json' http://127.0.0.1:8000/counts

Look at

- `create_app`: the manager lives as long as the application. When the server is told to stop (SIGTERM,
  Ctrl-C), it answers the last requests, the manager finishes the jobs that run, and what waits is still
  there at the next start. `uvicorn --workers 4` makes four of these processes, which share the work.
- `ask_for_count`: answers at once with 202 and the job's address; the id is made from the text, so the same
  text again, from anybody, is the same job.
- `tell`: a queue is no place for results. The handler writes them where the application keeps its data; the
  queue says what is not done yet, and what failed. It is asked first: a job that ends between two questions
  has written its result before.

The program is its own first visitor: it asks for counts over HTTP, and serves on for some seconds.
Needs: pip install 'checkmate-queue[examples]'
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated, Any

from checkmate_queue import Discard, Job, Queue, QueueError, QueueManager

try:
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
except ModuleNotFoundError:
    sys.exit("this example needs a web server; add it with: pip install 'checkmate-queue[examples]'")


@dataclass(frozen=True)
class Text:
    """Something to count the words of; `seconds` makes it a long one."""

    text: str
    seconds: float = 0


# -- the work ------------------------------------------------------------------------------------


class Results:
    """Where the application keeps what came out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS result (id TEXT PRIMARY KEY, words TEXT)")

    def put(self, job_id: str, words: dict[str, int]) -> None:
        """Keep it; a second time makes no difference."""
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute("INSERT OR REPLACE INTO result VALUES (?, ?)", (job_id, json.dumps(words)))

    def get(self, job_id: str) -> dict[str, int] | None:
        """What came out, or None."""
        with closing(sqlite3.connect(self._path)) as database:
            row = database.execute("SELECT words FROM result WHERE id = ?", (job_id,)).fetchone()
            return json.loads(row[0]) if row else None


def count(job: Job[Text], results: Results) -> None:
    """A plain function: it runs on a thread, and the service answers meanwhile."""
    time.sleep(job.data.seconds)
    words = Counter(job.data.text.lower().split())
    if not words:
        raise Discard("there are no words in it")
    results.put(job.id, words)


# -- the service ---------------------------------------------------------------------------------


def queue_of(request: Request) -> Queue[Text]:
    """The queue of the application that was asked."""
    queue: Queue[Text] = request.app.state.queue
    return queue


Counts = Annotated[Queue[Text], Depends(queue_of)]


async def ask_for_count(text: Text, counts: Counts, response: Response) -> dict[str, str]:
    """Take it on, and say where to ask for it."""
    digest = hashlib.sha256(f"{text.seconds} {text.text}".encode()).hexdigest()[:16]
    job_id = await counts.enqueue(text, job_id=digest, metadata={"asked": "over HTTP"})
    response.headers["Location"] = f"/counts/{job_id}"
    return {"id": job_id, "state": "accepted" if job_id.created else "on its way"}


async def tell(job_id: str, counts: Counts, request: Request) -> dict[str, Any]:
    """How it is getting on, or what came out."""
    if job := await counts.get_job(job_id):
        return {"id": job_id, "state": job.state}
    results: Results = request.app.state.results
    if words := await asyncio.to_thread(results.get, job_id):
        return {"id": job_id, "state": "done", "words": words}
    for failed in await counts.list_failed():
        if failed.job_id == job_id:
            return {"id": job_id, "state": "failed", "why": failed.message}
    raise HTTPException(404, f"nobody asked for {job_id}")


def create_app(url: str, results: Results) -> FastAPI:
    """The service on this backend."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with QueueManager(url) as manager:
            app.state.results = results
            app.state.queue = manager.get_queue("word-counts", Text)
            await app.state.queue.consume(partial(count, results=results), consumer_group="counters")
            yield
            print("stopping: what runs is finished first", flush=True)
        print("stopped", flush=True)

    app = FastAPI(title="Word counts", lifespan=lifespan)
    app.post("/counts", status_code=202)(ask_for_count)
    app.get("/counts/{job_id}")(tell)
    return app


# -- the program ---------------------------------------------------------------------------------


def call(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """A request to the service, as anybody could make it."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def ask_until_done(port: int, job_id: str) -> dict[str, Any]:
    """Ask now and then, until it is done or has failed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        _, answer = call(port, "GET", f"/counts/{job_id}")
        if answer.get("state") in ("done", "failed"):
            return answer
        time.sleep(0.05)
    sys.exit(f"MISSING: {job_id} is done within a minute")


def expect(fact: object, what: str) -> None:
    """Say what is so, or end the program where it is not."""
    if not fact:
        sys.exit(f"MISSING: {what}")
    print(f"ok: {what}", flush=True)


def visit(port: int) -> None:
    """Ask for counts, and for what became of them."""
    status, accepted = call(port, "POST", "/counts", {"text": "to be or not to be"})
    expect(status == 202, f"a text was accepted as {accepted['id']}")
    done = ask_until_done(port, accepted["id"])
    expect(done.get("words") == {"to": 2, "be": 2, "or": 1, "not": 1}, f"its words were counted: {done}")
    _, accepted = call(port, "POST", "/counts", {"text": " "})
    failed = ask_until_done(port, accepted["id"])
    expect(failed["state"] == "failed", f"one without words has failed: {failed['why']}")
    status, answer = call(port, "POST", "/counts", {"words": 1})
    expect(status == 422, "what is no text was refused")
    status, answer = call(port, "GET", "/counts/unknown")
    expect(status == 404, f"an unknown id is said to be so: {answer['detail']}")


async def main(url: str, port: int, seconds: float, results: Path) -> None:
    """Serve, visit, serve on for a while, and stop gracefully."""
    async with QueueManager(url):
        pass  # A wrong URL ends the program here, with one line; a web server would show its own traceback.
    app = create_app(url, Results(results))
    with socket.create_server(("127.0.0.1", port)) as listener:
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        for number in (signal.SIGTERM, signal.SIGINT):
            # The server listens to them while it serves, and passes them on when it has stopped.
            asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.to_thread(visit, port)
            print(f"serving on http://127.0.0.1:{port}/counts for {seconds:g} s", flush=True)
            await asyncio.wait([serving], timeout=seconds)
        finally:
            server.should_exit = True
            await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="the queue's backend; a fresh SQLite file where it is not given")
    parser.add_argument("--port", type=int, default=0, help="a free one where it is not given")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to serve")
    parser.add_argument("--results", type=Path, help="a database for results; a fresh one likewise")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            queue_url = options.url or f"sqlite:///{folder}/queue.db"
            database = options.results or Path(folder) / "results.db"
            asyncio.run(main(queue_url, options.port, options.seconds, database))
    except QueueError as error:
        sys.exit(str(error))
