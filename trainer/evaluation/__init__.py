"""What a tuned model is worth: answers from the engine that will serve it, measures, a report page."""
