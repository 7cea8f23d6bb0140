"""What people read about networks and runs: summaries, comparisons, drawings, pages."""
