"""The PostgreSQL frontend/backend protocol, versions 3.0 and 3.2.

``framing`` cuts a byte stream into messages; ``startup``, ``frontend``, ``backend``, ``rows``, ``copying``,
``replies`` and ``authentication`` decode and encode each kind (``body`` has the field types, ``binding`` the hot
ones); ``scram``, ``saslprep`` and ``channel_binding`` are the client's half of a login. Names are the specification's.

Spec: PostgreSQL 18, chapter "Frontend/Backend Protocol".
"""
