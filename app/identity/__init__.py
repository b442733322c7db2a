"""Identity: whether a program may speak for its database."""
