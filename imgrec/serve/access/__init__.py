"""Who may ask: keys, tokens, rates, budgets, and the audit log."""
