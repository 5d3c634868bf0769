"""Can each node do the job? Findings in words, each with what to change. It changes nothing itself."""
