"""Names that several rooms must form alike."""
