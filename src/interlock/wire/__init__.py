"""BYTES: sans-IO codecs, one specification a folder.

What lives here turns bytes into messages and back, and knows nothing of policy, sessions or sockets. Decoders take
unverified bytes and raise only ``ProtocolError`` and ``LimitExceeded``; they are fuzzed to prove it.
"""
