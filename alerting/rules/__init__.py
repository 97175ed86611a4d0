"""What a rule is: how it is written, what is wrong with it, and what it makes of a value."""
