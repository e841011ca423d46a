"""Pages of the documentation that follow from the code, and the hooks of the site."""
