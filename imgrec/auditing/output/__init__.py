"""What an audit writes: the page, audit.json, the cleaning plan and the cleaned table."""
