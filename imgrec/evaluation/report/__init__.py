"""report.html and sweep.html, built from the files in a folder alone."""
