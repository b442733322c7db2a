"""PURE. The rules of the product: who is due, which days are workdays, how a week is counted."""
