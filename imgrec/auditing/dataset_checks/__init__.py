"""Checks of a whole data set: groups, shortcuts, outliers, formats, class counts."""
