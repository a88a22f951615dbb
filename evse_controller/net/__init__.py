"""The network edge: SDP socket, TCP and TLS listener, pacing, capture. asyncio lives in `server` and `link`."""
