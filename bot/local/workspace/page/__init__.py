"""The web page that people use."""
