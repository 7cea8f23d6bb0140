"""Training: the loop and its events, the plan of a run, the run folder, growth."""
