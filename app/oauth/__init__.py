"""Tokens for the mail account: OAuth 2.0 without a person at the keyboard (RFC 6749 4.4, RFC 7523)."""
