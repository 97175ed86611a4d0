"""What is remembered: the current values in memory, time series and statements on disk."""
