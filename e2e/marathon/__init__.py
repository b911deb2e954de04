"""A training that is killed until it has finished, against the same one undisturbed (`make marathon`)."""
