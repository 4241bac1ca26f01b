"""State that outlives the process: verdicts, drift episodes, history and the outbox."""
