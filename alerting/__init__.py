"""What is judged and said: thresholds, the life of an alert, the ladder, the outbox, the channels."""
