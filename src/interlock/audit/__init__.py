"""PROVE: what happened becomes entries, entries become an append-only log, payloads become encrypted recordings.

    journal -> Sealed(entry, payload) -> client ~ kernel's socket buffer ~ recorder -> log/, recordings/, keys/
    (worker)                            (worker)   (held by supervisor)   (own process)         |
                                                                                    reading (operators)

An entry is small, canonical and carries no linkable hash of anybody's data; what was said and answered is a payload,
committed to by a salted hash. The socket between worker and recorder is held open by the supervisor: a frame that is
wholly inside it survives a kill of either end, which is what "recorded" means (P1). The recorder alone owns the
files and the key. Nothing here decides, and nothing here knows a protocol.
"""
