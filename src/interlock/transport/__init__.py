"""MOVE: sockets, TLS, time limits and back-pressure; the only room that touches a network.

    listener.py  accepts, never waits for a client there; raw prelude, TLS, one conversation a connection
    stream.py    the one driver of stream protocols: a mediator's commands performed in order, both legs
    legs.py      the two ends of a conversation as asyncio protocols
    services.py  what a conversation needs of the rest of the gateway, as small interfaces
    dial.py      upstream: resolve once, TLS verify-full, login
    side.py      the gateway's own side connections, which read the catalogue
    offload.py   large texts analysed in threads under a budget
    cancel.py    the gateway's own cancel keys

A conversation has one inbox and one reader: every byte and every answer is an event there, the mediator is stepped in
one place, and what waits (people, upstreams, threads) waits in a task beside it. Foreign exceptions are mapped here.
"""
