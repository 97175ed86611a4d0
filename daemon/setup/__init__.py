"""`toban setup`: what a server needs so that Toban can watch it, as SQL, and done on request."""
