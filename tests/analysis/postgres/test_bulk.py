from interlock.analysis.postgres.analyser import Analyser
from interlock.analysis.postgres.statement import Analysis, Statement

ANALYSER = Analyser()


def statements(text: str) -> tuple[Statement, ...]:
    analysis = ANALYSER.analyse(text)
    assert isinstance(analysis, Analysis), (text, analysis)
    return analysis.statements


def test_copy_tells_stream_file_and_program_apart_T6() -> None:
    assert statements("copy t from stdin")[0].leaves == ("write/postgres.copy_in",)
    assert statements("copy t to stdout")[0].leaves == ("read/postgres.copy_out",)
    for text in ("copy t to '/x'", "copy t from '/x'"):
        assert statements(text)[0].files == ("/x",)
        assert "execute/postgres.copy" in statements(text)[0].leaves
    for text in ("copy t to program 'x'", "copy t from program 'x'", "copy (select 1) to program 'x'"):
        assert statements(text)[0].programs == ("x",)
        assert "execute/postgres.copy_program" in statements(text)[0].leaves


def test_maintenance_names_its_tables() -> None:
    assert statements("vacuum (analyze) a, s.b")[0].written_relations == (("a",), ("s", "b"))
    assert statements("reindex index concurrently i")[0].alters == ("index:i",)
    assert statements("reindex schema s")[0].alters == ("schema:s",)
    assert statements("refresh materialized view concurrently v")[0].written_relations == (("v",),)
    assert statements("call s.p(1, f(2))")[0].lifts_read_only
