"""`fsbridge demo`: the whole service on one machine, calls placed over HTTP, outcomes checked."""
