"""Views: whether the product works, and how an operator is told that it does not."""
