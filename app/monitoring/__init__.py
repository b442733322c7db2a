"""Monitoring: whether the product works, and how an operator learns that it does not."""
