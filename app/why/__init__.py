"""Views: why a mail came, or did not; and what a change of settings would bring."""
