"""What the HTTP server answers by itself: bytes that are no HTTP request never reach the application."""

from __future__ import annotations

from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kronos_service.errors import MEDIA_TYPE, Kinds, Problem


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with the one error format for its own 400, which is plain text otherwise."""

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed, and close the connection."""
        request_id = uuid4().hex
        response = Problem(Kinds.not_http, msg).response(request_id)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(response.body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", b""]
        self.transport.write(b"\r\n".join(lines) + bytes(response.body))
        self.transport.close()
