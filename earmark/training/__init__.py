"""What training reads: manifest rows, the selection of a job, leakage between splits, summaries."""
