"""PURE. A mail as bytes: addresses, headers and encodings (RFC 5322, RFC 2045)."""
