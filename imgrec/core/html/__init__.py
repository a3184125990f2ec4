"""HTML pages: escaped templates, and the head and style that pages share."""
