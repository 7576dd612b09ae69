"""Training: the loop, its phases, and what they need. A `Watcher` is told what happens."""
