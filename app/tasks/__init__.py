"""Door: the jobs of both queues, and the worker that runs them."""
