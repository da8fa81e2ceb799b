"""The judge of clients: a server that plays one scenario after another to a client.

Theory of operation. A scenario (`scenario`, data in `scenarios/*.toml`) is a log, what a server and what lies between
do with it, and what must be seen of the client. For every play `play_server` opens a server of its own on a free
port, tells the client its URL by placeholders and environment, and notes on the `wire_log` when what arrived:
handshakes, requests, messages, cursors, credentials, closes. A client may say on its standard output what it shows
(`reports`). The `expectations` are pure functions over that log: each is pending, held, broken, or was never
exercised. What was broken by an absence is played again, alone, before anyone is accused.
"""
