"""Which hosts a run is for: exactly what was asked, or a sentence that says why not."""
