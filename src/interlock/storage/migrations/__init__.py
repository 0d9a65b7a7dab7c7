"""How the state database came to be: one file a step, run in order, never edited once released."""
