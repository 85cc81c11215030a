"""Learning from batches: the loop, its state, and the files that it goes on from."""
