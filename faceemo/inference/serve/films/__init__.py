"""Films: uploaded, predicted on in a thread of their own, and deleted once they are fetched."""
