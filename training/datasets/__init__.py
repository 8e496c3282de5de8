"""Labelled images: reading, joining what shows the same lesion, and splitting by lesion."""
