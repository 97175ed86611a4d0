"""What the dispatcher is made of: a queue and a post for each channel, and the deeds that are no messages."""
