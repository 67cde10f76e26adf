"""What `/dolly` and the Home tab offer to everybody."""
