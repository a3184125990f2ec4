"""report.html and sweep.html: pages built from the files in a folder alone, without the network and the pictures."""
