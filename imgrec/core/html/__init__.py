"""HTML pages: the template environment, and the head, palette and styles that all pages share."""
