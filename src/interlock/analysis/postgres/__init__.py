"""PostgreSQL's SQL: text -> statements -> settled effects and facts, by libpg_query's own grammar.

    text -> parser.parse -> tree -> walk -> Analysis (what the text alone says)
         -> settle (functions, catalogue, prepared statements, cursors) -> Settled (leaves and facts for policy)

A statement is read to its leaves, never by its top node. Each node kind of the grammar is classified; a kind that
isn't makes its statement ``unknown``. Doubt always goes to the graver effect.
"""
