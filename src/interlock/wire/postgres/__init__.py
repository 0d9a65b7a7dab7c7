"""The PostgreSQL frontend/backend protocol, versions 3.0 and 3.2.

``framing`` cuts a byte stream into messages, ``frontend``/``startup`` and ``backend``/``rows``/``replies`` decode and
encode each kind, ``scram`` and ``md5`` are the client's half of a password login. Names are the specification's.

Spec: PostgreSQL 18, chapter "Frontend/Backend Protocol".
"""
