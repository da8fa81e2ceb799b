"""Known proxies: their signs, their effects, and the settings that avoid these. Pure data."""

import re
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Product:
    """A proxy that can be told by what it writes: a pattern for `Server` or `Via`, and one for its own pages."""

    name: str
    header: re.Pattern[str] | None
    page: re.Pattern[str] | None = None


def _product(name: str, header: str | None, page: str | None = None) -> Product:
    return Product(
        name,
        re.compile(header, re.IGNORECASE) if header else None,
        re.compile(page, re.IGNORECASE) if page else None,
    )


PRODUCTS = (
    _product("nginx", r"(?:nginx|openresty)(?:/|$)", r"<hr><center>(?:nginx|openresty)\b"),
    _product("Apache", r"Apache(?:/2|$)", r"<!DOCTYPE HTML PUBLIC [^>]*>\n<html><head>\n<title>[45]\d\d "),
    _product("HAProxy", None, r"<html><body><h1>[45]\d\d [^<]*</h1>\n"),
    _product("Caddy", r"(?:Caddy$|1\.1 Caddy\b)"),
    _product(
        "Envoy", r"(?:istio-)?envoy$", r"(?:upstream connect error|no healthy upstream|upstream request)"
    ),
    _product("Varnish", r"\d\.\d .*varnish\b", r"<h3>Guru Meditation:</h3>"),
    _product("h2o", r"h2o/"),
    _product("Cloudflare", r"cloudflare$", r".*<center>cloudflare</center>"),
    _product("an AWS load balancer", r"awselb/", r".*<center>awselb/"),
)


class Symptom(StrEnum):
    """What a proxy did to a conversation."""

    ANSWERED = "it answered requests itself"
    TOO_LARGE = "it refused a body that the server may accept (413)"
    GATEWAY = "it got no response from the server (502, 503, 504)"
    ACCEL = "it removed X-Accel-Buffering from streams"
    UPGRADE = "it removed the Upgrade header from a 426"
    HANDSHAKE = "it did not pass on the Upgrade header of handshakes"
    HOST = "it may have changed the Host of requests"
    CUT = "it cut silent connections"
    GATHERED = "it buffered streams and delivered them in one piece"


#: What to set against a symptom, by the product.
SETTINGS: dict[tuple[Symptom, str], str] = {
    (Symptom.TOO_LARGE, "nginx"): "`client_max_body_size 2m`, more than max_message_bytes",
    (Symptom.TOO_LARGE, "Apache"): "`LimitRequestBody`, more than max_message_bytes",
    (Symptom.GATEWAY, "nginx"): "`proxy_read_timeout` above heartbeat_s; see also nginx's error log",
    (Symptom.GATEWAY, "Apache"): "`ProxyTimeout` above heartbeat_s; see also Apache's error log",
    (Symptom.GATEWAY, "HAProxy"): "`timeout server` above heartbeat_s; see also HAProxy's log",
    (Symptom.ACCEL, "nginx"): "`proxy_pass_header X-Accel-Buffering`",
    (Symptom.HANDSHAKE, "nginx"): (
        "`proxy_http_version 1.1`, `proxy_set_header Upgrade $http_upgrade`, `proxy_set_header Connection upgrade`"
    ),
    (Symptom.HANDSHAKE, "Apache"): "`ProxyPass … upgrade=websocket`",
    (Symptom.HANDSHAKE, "Envoy"): "`upgrade_configs: [{upgrade_type: websocket}]`",
    (Symptom.HOST, "nginx"): "`proxy_set_header Host $http_host`",
    (Symptom.HOST, "Apache"): "`ProxyPreserveHost On`",
    (Symptom.HOST, "Caddy"): "a site address without a host, as `http://:80`",
    (Symptom.CUT, "nginx"): "`proxy_read_timeout` above heartbeat_s",
    (Symptom.CUT, "Apache"): "`ProxyTimeout` above heartbeat_s",
    (Symptom.CUT, "HAProxy"): "`timeout client`, `timeout server` and `timeout tunnel` above heartbeat_s",
    (Symptom.CUT, "Envoy"): (
        "`timeout: 0s` and `idle_timeout` above heartbeat_s at the route, and `stream_idle_timeout: 0s`"
    ),
    (Symptom.GATHERED, "nginx"): "`proxy_buffering off`, and no `gzip` of text/event-stream",
    (Symptom.GATHERED, "Apache"): "`ProxyPass … flushpackets=on`, and no `DEFLATE` of text/event-stream",
    (Symptom.GATHERED, "Varnish"): "`set beresp.do_stream = true`, or `return (pipe)`",
}  # fmt: skip
