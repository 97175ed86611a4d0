"""Files and folders: how large, how old, changed, open to all, with secrets left in them."""
