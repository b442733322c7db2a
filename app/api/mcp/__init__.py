"""The door for agents: /mcp, a server of the Model Context Protocol without state.

The protocol (messages.py), the tools (tools.py) on the same functions as /api/v1, and how their
answers are kept short (answers.py). Specification: modelcontextprotocol.io, 2026-07-28.
"""
