"""NOUNS: frozen values, enums, errors, events and commands that every room shares.

No I/O, no clock, no randomness, no third-party import. A value enters here once, is never changed, and is
carried (not looked up again) by whoever acts on it.
"""
