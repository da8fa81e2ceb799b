"""The careful client's requests over HTTP: discovery, credentials, bodies in chunks."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urljoin, urlsplit

from tests.proof.clients.careful.answers import Answers


class Requests(Answers):
    """Sends requests to the server of its run."""

    def token_for(self, url: str) -> str:
        """[CONN-5]: a credential goes to the origin of discovery alone."""
        return self.token if urlsplit(url).netloc == urlsplit(self.told["url"]).netloc else ""

    async def renew(self) -> None:
        """[CLOSE-5]"""
        _, _, body = await self.fetch("GET", self.told["token_url"])
        self.token = json.loads(body)["token"]

    def runs_url(self) -> str:
        """Where runs are."""
        assert self.discovered is not None
        return urljoin(self.told["url"] + "/.well-known/runwire", self.discovered["endpoints"]["runs"])

    async def discover(self) -> None:
        """Fetch the discovery document."""
        _, media, body = await self.fetch("GET", self.told["url"] + "/.well-known/runwire")
        if not media.startswith("application/json"):
            self.no_discovery()
        self.discovered = json.loads(body)
        self.heartbeat_s = self.discovered["limits"]["heartbeat_s"]

    def no_discovery(self) -> None:
        """[HTTP-22]"""
        raise ConnectionError("a page came in place of the discovery document")

    async def fetch(
        self, method: str, url: str, body: bytes = b"", accept: str = "*/*"
    ) -> tuple[int, str, bytes]:
        """Return status, media type and body of a whole answer."""
        reader, writer, status, media = await self.request(method, url, {"Accept": accept}, body)
        try:
            chunked = media.endswith(";chunked")
            content = b"".join([piece async for piece in chunks(reader)]) if chunked else await reader.read()
        finally:
            writer.close()
        return status, media, content

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int, str]:
        """Send a request and read the head of its answer."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        lines = [
            f"{method} {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
            f"Host: {parts.netloc}",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Authorization: Bearer {token}"] if (token := self.token_for(url)) else []
        lines += (
            [f"Content-Length: {len(body)}", "Content-Type: application/json"] if method == "POST" else []
        )
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        except asyncio.IncompleteReadError:
            writer.close()
            raise ConnectionError("no answer") from None
        except BaseException:
            writer.close()
            raise
        found = re.search(r"content-type: ([^;\r\n]+)", head)
        chunked = ";chunked" if "transfer-encoding: chunked" in head else ""
        return reader, writer, int(head.split()[1]), (found[1].strip() if found else "") + chunked


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a body; raises ConnectionError where it breaks off."""
    while True:
        line = await reader.readline()
        if not line.strip():
            raise ConnectionError("broken off")
        size = int(line, 16)
        if size == 0:
            return
        try:
            data = await reader.readexactly(size + 2)
        except asyncio.IncompleteReadError:
            raise ConnectionError("broken off") from None
        yield data[:-2]
