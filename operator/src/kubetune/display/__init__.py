"""A job while it runs, shown at a terminal or line by line: what `kubetune run`, `submit --watch` and the client's `wait` share."""
