"""What people ask, and who may: questions, files, edits, stops."""
