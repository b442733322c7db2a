"""A whole morning played on one machine, as an operator would live through it."""
