"""Files: atomic writes, locks, strict JSON, Arrow tables, the run folder."""
