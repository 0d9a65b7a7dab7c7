"""PostgreSQL: the client's negotiation, the upstream login, and the mediator between them."""
