"""Playground: a page at `/` that starts a run and shows it.

`runwire/` is a copy of `clients/javascript/src`, written by `make generate`: a wheel holds one folder of the tree only.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent

#: The files of the page by the path they are served at.
PAGES = {"/": FOLDER / "index.html"} | {
    f"/{path.relative_to(FOLDER).as_posix()}": path
    for pattern in ("*.css", "*.js", "runwire/*.js")
    for path in sorted(FOLDER.glob(pattern))
}

#: What an agent writes is shown as text; should that ever fail, no foreign script runs and nothing is sent away.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def page(request: Request) -> Response:
    """Answer with a file of the page."""
    return FileResponse(PAGES[request.url.path], headers=HEADERS)


def routes() -> list[Route]:
    """Return what serves the page."""
    return [Route(path, page, methods=["GET"]) for path in PAGES]
