"""ISO 15118-20 bidirectional EVSE controller: the daemon `evsed`, the technician's `evsectl`, and their rooms."""

__version__ = "0.1.0"
