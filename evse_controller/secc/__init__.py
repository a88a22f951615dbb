"""The SECC's protocol core without I/O: V2GTP framing, SDP, supportedAppProtocol, one session class per protocol.

Nothing here awaits, reads a clock or draws a random number: bytes, snapshots, control time and random bytes come in;
bytes, commands and events go out. `net` is the asyncio shell around `connection.Connection`.
"""
