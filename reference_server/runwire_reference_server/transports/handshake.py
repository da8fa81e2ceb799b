"""WebSocket opening handshake (RFC 6455); invalid requests get a problem document."""

import http
from collections.abc import Mapping
from types import MappingProxyType

from websockets.http11 import Response
from websockets.server import ServerProtocol

from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.transports.problems import problem

#: The library's statuses as codes of the errors registry, with the status where the registry has another.
_REFUSALS: Mapping[int, tuple[str, int | None, str]] = MappingProxyType(
    {
        400: ("bad_request", None, "this is not a valid WebSocket handshake"),
        403: ("forbidden", None, "not allowed"),
        405: ("unsupported", 405, "a handshake is a GET"),
        414: ("payload_too_large", None, "the URL is too long"),
        426: ("unsupported", 426, "this is a WebSocket endpoint"),
        431: ("payload_too_large", None, "the headers are too long"),
        500: ("internal", None, "the server failed"),
    }
)


class Handshake(ServerProtocol):
    """The server's side of a connection; a refusal repeats nothing of the request ([AUTH-3], [AUTH-7])."""

    def reject(self, status: http.HTTPStatus | int, text: str) -> Response:  # noqa: ARG002 - it quotes the request
        """Return the answer to a handshake that cannot be accepted."""
        code, shown, data = _REFUSALS.get(int(status), _REFUSALS[400])
        answer = problem(Refusal(code, data), shown)
        response = super().reject(http.HTTPStatus(answer.status_code), bytes(answer.body).decode())
        del response.headers["Content-Type"]
        for name in ("Content-Type", "Cache-Control"):
            response.headers[name] = answer.headers[name]
        return response
