"""The web demo and JSON API of a trained run: `faceemo serve`."""
