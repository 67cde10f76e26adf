"""What is said and shown in the workspace, kept in one SQLite file."""
