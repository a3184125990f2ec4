"""The sections of report.html, one module per topic."""
