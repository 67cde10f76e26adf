"""What tuning is made of, the home of torch: rows without padding, attention, loss, optimizer, checkpoints."""
