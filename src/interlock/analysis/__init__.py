"""KNOW: text -> facts, one folder a language. Pure: no I/O, no clock, no policy.

What enters is a client's text, unverified. What leaves is frozen: effects ("leaves") and facts, never milder than
what the text can do; what isn't understood is the effect ``unknown``.
"""
