"""streamgauge."""
