"""Fuzz the analyser of PostgreSQL statements: any text is answered, and the cached answer is the direct one.

python tests/fuzz/fuzz_postgres_analysis.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["interlock.analysis"]):
    from interlock.analysis.postgres.analyser import Analyser
    from interlock.analysis.postgres.statement import SyntaxRejected

CACHED = Analyser()
DIRECT = Analyser(entries=1)
PIECES = (
    b"select ", b"delete from t where ", b"update t set a = ", b"insert into t values (", b"with c as (",
    b") ", b"drop ", b"table t", b" and ", b" or ", b" not ", b"1", b"'x'", b"id", b" = ", b"; ", b"$1",
    b"explain analyze ", b"do $$", b"begin ", b"end", b"$$",
    b"create function f() returns int language plpgsql as $$", b"set_config('a','b',false)", b"copy t ",
    b"from ", b"to ", b"prepare s as ", b"execute s", b"set role ", b"case when ", b"exists (", b"/*", b"*/",
)  # fmt: skip


def answer(analyser: Analyser, text: str, *, cached: bool) -> object:
    """Leaves and facts, or the grammar's error."""
    analysis = analyser.analyse(text) if cached else analyser.analyse_uncached(text)[0]
    if isinstance(analysis, SyntaxRejected):
        return analysis
    settled = analyser.settle(analysis, None, dirty=False, prepared={}, cursors={})
    return settled.kind, settled.leaves, dict(settled.facts)


def test_one_input(data: bytes) -> None:
    """Analyse the bytes as text, and as a list of pieces of SQL."""
    raw = data.decode("utf-8", "surrogateescape")
    made = b"".join(PIECES[byte] if byte < len(PIECES) else bytes([byte & 0x7F]) for byte in data).decode()
    for text in (raw, made):
        if answer(CACHED, text, cached=True) != answer(DIRECT, text, cached=False):
            msg = f"cached and direct analysis differ: {text!r}"
            raise AssertionError(msg)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
