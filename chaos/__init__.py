"""The fault rig: real processes, real faults, and one checker that counts what arrived.

`make chaos` runs the rows (test_*.py here) and writes docs/reliability.md.
"""
