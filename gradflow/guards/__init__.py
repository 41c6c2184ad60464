"""What keeps a command from doing harm: it refuses, waits or says why, and never changes what is written."""
