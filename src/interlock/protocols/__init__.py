"""TALK: one folder a protocol, each a mediator between a client and an upstream.

A protocol turns messages into actions, asks about them, and forwards only what was permitted. It holds no socket,
reads no clock, and doesn't know policy, approval, audit or identity: what it needs, it commands.
"""
