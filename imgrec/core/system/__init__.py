"""The machine: hardware, energy, worker processes, lean imports, a line of progress."""
