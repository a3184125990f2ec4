"""The sections of report.html, one file a topic."""
