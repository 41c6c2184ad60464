"""The page of results, reports/index.html: one file a section, one template."""
