"""PostgreSQL's part of MOVE: its prelude on a raw socket, its login to an upstream, its catalogue connection."""
