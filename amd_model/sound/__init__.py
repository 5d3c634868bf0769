"""Sound files as samples: the one place where they are opened. By numpy and libsndfile; no torch, no judgement."""
